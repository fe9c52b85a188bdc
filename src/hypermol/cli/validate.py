"""hypermol validate"""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from hypermol.cli.options import Device, MemoryGb, RunFolder, memory_bytes, parse_settings
from hypermol.errors import ConfigError
from hypermol.shell import quoted

if TYPE_CHECKING:
    from hypermol.runs import Run
    from hypermol.validation import Asked

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
    memory_gb: MemoryGb = None,
) -> None:
    """Is the motion real? The method is run anew on either half of the data, and what both find is compared.

    Costs one training on all data, and another for the run on noise (--no-noise leaves it out). Stopped at any moment,
    the same command goes on. Results are in RUN/validation; docs/validation.md explains them.

    Example: `hypermol validate run --sensitivity`
    """
    from hypermol.cli.options import say_device
    from hypermol.cli.progress import conducted, duration
    from hypermol.cli.say import say
    from hypermol.runs import Run
    from hypermol.validation import validate_run

    began = time.monotonic()
    if seeds < 0:
        raise ConfigError(f"--seeds {seeds}: expected 0 or more")
    limit = memory_bytes(memory_gb)
    opened, rest = _finished(run), tuple(_finished(other) for other in others)
    asked: dict[str, Any] = {"noise": noise, "seeds": seeds, "settings": parse_settings(vary, "--vary"), "others": rest}
    say_device(device)
    job = partial(validate_run, opened, _asked(opened, asked, sensitivity))
    found = conducted(job, device, limit, partial(_with_hint, run=run))
    say()
    for line in (*found["verdict"], *_more(found)):
        say(line)
    say(f"done in {duration(time.monotonic() - began)}: {Run(run).path / 'validation'}")
    say(f"next: hypermol report {quoted(run)}")


def _finished(path: Path) -> Run:
    from hypermol.runs import Run

    run = Run.open(path)
    if not run.finished:
        raise ConfigError(f"{path} has not finished; continue it with `hypermol train --resume {quoted(path)}`")
    return run


def _asked(run: Run, asked: dict[str, Any], sensitivity: bool) -> Asked:
    """What is to be done, the two main settings and one more seed among it where ``sensitivity`` is wanted."""
    from hypermol.methods import run_method
    from hypermol.validation import Asked, main_settings

    if sensitivity:
        main = main_settings(run_method(run))
        asked = {**asked, "seeds": max(1, asked["seeds"]), "settings": {**main, **asked["settings"]}}
    return Asked(**asked)


def _with_hint(error: Exception, run: Path) -> Exception:
    """How to go on, where it was stopped."""
    from hypermol.engine import InterruptedRun

    if isinstance(error, InterruptedRun):
        return InterruptedRun(f"stopped as asked; the same command goes on: hypermol validate {quoted(run)}")
    return error


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
