"""hypermol analyze"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from hypermol.cli.options import Device


def analyze(
    run: Annotated[Path, Parameter(help="A run folder.")],
    /,
    *,
    clusters: Annotated[int, Parameter(name=["--clusters", "-k"], help="k of k-means.")] = 10,
    points: Annotated[int, Parameter(help="Maps along each path.")] = 10,
    maps: Annotated[bool, Parameter(help="Also write maps at centres and along paths.")] = True,
    device: Device = "auto",
) -> None:
    """The landscape of z: components, clusters, paths, maps, and what z should not know (leakage).

    Example: `hypermol analyze run -k 6`
    """
    from hypermol.landscape import LandscapeSettings, save_landscape, write_maps
    from hypermol.landscape.from_run import landscape_of
    from hypermol.methods import rebuild
    from hypermol.runs import Run

    opened = Run.open(run)
    landscape = landscape_of(opened, LandscapeSettings(clusters=clusters, points=points))
    save_landscape(landscape, opened.landscape)
    if maps:
        trained = rebuild(opened, device)
        print(f"decoding maps at {landscape.kmeans.count} centres and along {len(landscape.paths)} paths …")
        write_maps(landscape, opened.landscape, trained.decode_array, trained.pixel_size)
    ratio = ", ".join(f"{100 * share:.0f} %" for share in landscape.components.ratio[:4])
    print(f"principal components hold {ratio} of the variance of z")
    for item in landscape.leakage:
        print(("warning: " if item.verdict == "clear" else "") + item.sentence)
    for note in landscape.notes:
        print(note)
    print(f"landscape: {opened.landscape}")
