"""hypermol analyze"""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from hypermol.cli.options import Device, RunFolder
from hypermol.shell import quoted


def analyze(
    run: RunFolder,
    /,
    *,
    clusters: Annotated[
        int, Parameter(name=["--clusters", "-k"], help="k of k-means; a run of classes has those.")
    ] = 10,
    points: Annotated[int, Parameter(help="Maps along each path.")] = 10,
    temperature: Annotated[float, Parameter(help="K, of the sample before freezing: for kcal/mol.")] = 298.15,
    maps: Annotated[
        bool, Parameter(help="Also write maps at centres and along paths (by default yes).", show_default=False)
    ] = True,
    device: Device = "auto",
) -> None:
    """The landscape of z: components, clusters, paths, maps, free energies where z has uncertainties, and what z
    should not know (leakage).

    Example: `hypermol analyze run -k 6`
    """
    from hypermol.cli.options import say_device
    from hypermol.cli.progress import Steps
    from hypermol.cli.say import say
    from hypermol.landscape import LandscapeSettings, landscape_of, save_landscape, write_maps
    from hypermol.methods import rebuild
    from hypermol.runs import Run

    opened = Run.open(run)
    landscape = landscape_of(opened, LandscapeSettings(clusters=clusters, points=points, temperature=temperature))
    save_landscape(landscape, opened.landscape)
    if maps:
        say_device(device)
        trained = rebuild(opened, device)
        write_maps(
            landscape,
            opened.landscape,
            trained.decode_array,
            trained.pixel_size,
            Steps("maps at centres and along paths"),
        )
    ratio = ", ".join(f"{100 * share:.0f} %" for share in landscape.components.ratio[:4])
    say(f"principal components hold {ratio} of the variance of z")
    groups, first = landscape.clusters, landscape.clusters.first
    sizes = ", ".join(str(size) for size in groups.size)
    kinds = "classes" if groups.of_classes else "k-means clusters"
    say(f"{kinds} {first} to {groups.count - 1 + first} hold {sizes} particles")
    for item in landscape.leakage:
        say(("warning: " if item.verdict == "clear" else "") + item.sentence)
    for note in (*landscape.notes, *landscape.leakage_notes):
        say(note)
    say(f"landscape: {opened.landscape}")
    select = f"hypermol select {quoted(run)} --{groups.kind} {first} -o {groups.kind}{first}.star"
    say(f"next: hypermol report {quoted(run)}; {select}")
