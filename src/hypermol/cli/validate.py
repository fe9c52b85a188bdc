"""hypermol validate"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from hypermol.cli.options import Device, RunFolder, parse_settings
from hypermol.errors import ConfigError

if TYPE_CHECKING:
    from hypermol.methods import Conduct
    from hypermol.runs import Run

Others = Annotated[Path, Parameter(help="Runs of other methods on the same particles, to compare with.")]


def validate(
    run: RunFolder,
    /,
    *others: Others,
    noise: Annotated[
        bool, Parameter(help="Also run the method on noise in place of images (done by default).", show_default=False)
    ] = True,
    seeds: Annotated[int, Parameter(help="How many more seeds are tried (a run on half the data each).")] = 0,
    vary: Annotated[
        tuple[str, ...],
        Parameter(
            help="A setting to be tried at another value, key=value (may be repeated; a run on half the data each).",
            negative=(),
            show_default=False,
        ),
    ] = (),
    sensitivity: Annotated[
        bool,
        Parameter(
            help="Short for one more seed and the two settings that matter most.", negative=(), show_default=False
        ),
    ] = False,
    device: Device = "auto",
    memory_gb: Annotated[float | None, Parameter(help="Keep at most this much of the images in memory.")] = None,
) -> None:
    """Is the motion real? The method is run anew on either half of the data, and what both find is compared.

    Costs one training on all data, and another for the run on noise (--no-noise leaves it out). Stopped at any moment,
    the same command goes on. Results are in RUN/validation; docs/validation.md explains them.

    Example: `hypermol validate run --sensitivity`
    """
    from hypermol.cli.options import say_device
    from hypermol.cli.progress import duration
    from hypermol.cli.say import say
    from hypermol.runs import Run

    began = time.monotonic()
    _check_numbers(seeds, memory_gb)
    opened, rest = _finished(run), tuple(_finished(other) for other in others)
    asked = {"noise": noise, "seeds": seeds, "settings": parse_settings(vary, "--vary"), "others": rest}
    say_device(device)
    found = _validated(opened, asked, sensitivity, device, memory_gb)
    say()
    for line in (*found["verdict"], *_more(found)):
        say(line)
    say(f"done in {duration(time.monotonic() - began)}: {Run(run).path / 'validation'}")
    say(f"next: hypermol report {run}")


def _check_numbers(seeds: int, memory_gb: float | None) -> None:
    if seeds < 0:
        raise ConfigError(f"--seeds {seeds}: expected 0 or more")
    if memory_gb is not None and not memory_gb > 0:
        raise ConfigError(f"--memory-gb {memory_gb:g}: expected more than 0")


def _finished(path: Path) -> Run:
    from hypermol.runs import Run

    run = Run.open(path)
    if not run.finished:
        raise ConfigError(f"{path} has not finished; continue it with `hypermol train --resume {path}`")
    return run


def _validated(
    run: Run, asked: dict[str, Any], sensitivity: bool, device: str, memory_gb: float | None
) -> dict[str, Any]:
    """Run the validation with its progress shown, so that it can be stopped in good order."""
    from hypermol.cli.progress import Reporter, stop_requests
    from hypermol.engine import InterruptedRun
    from hypermol.methods import Conduct, run_method
    from hypermol.validation import Asked, main_settings, validate_run

    if sensitivity:
        main = main_settings(run_method(run))
        asked = {**asked, "seeds": max(1, asked["seeds"]), "settings": {**main, **asked["settings"]}}
    reporter = Reporter()
    limit = None if memory_gb is None else int(memory_gb * 2**30)
    with stop_requests() as stop:
        conduct: Conduct = Conduct(device=device, memory_limit=limit, report=reporter, asked_to_stop=stop)
        try:
            return validate_run(run, Asked(**asked), conduct)
        except InterruptedRun:
            raise InterruptedRun(f"stopped as asked; the same command goes on: hypermol validate {run.path}") from None
        finally:
            reporter.display.clear()


def _more(found: dict[str, Any]) -> list[str]:
    """Lines for what the verdict leaves out."""
    lines = []
    for state in found.get("states", ()):
        reach = "no resolution" if state["resolution"] is None else f"{state['resolution']:.1f} Å"
        lines.append(f"{state['name']}: {reach} between half maps of {' and '.join(map(str, state['particles']))}")
    for one in found.get("sensitivity", ()):
        reach = "does not reproduce" if one["resolution"] is None else f"reproduces to {one['resolution']:.1f} Å"
        order = "" if one["order"] is None else f"; order of particles {one['order']:.2f}"
        above = "" if one["significance"] is None else f", {one['significance']:.1f} deviations above chance"
        lines.append(f"with {one['changed']}: the best axis {reach}{above}{order}")
    for pair in found.get("agreement", ()):
        axes = ", ".join(f"{axis['correlation']:.2f}" for axis in pair["axes"]) or "none: z is the same for all"
        lines.append(f"{' and '.join(pair['runs'])}: canonical correlations of z {axes}")
    gap = found.get("amortisation")
    if gap:
        lines.append(
            f"refining z image by image gains {gap['gap']:.1f} ± {gap['error']:.1f} nats per particle over the encoder"
        )
    return lines
