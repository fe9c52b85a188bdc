"""hypermol evaluate"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from hypermol.cli.options import Device, RunFolder
from hypermol.errors import ConfigError


def evaluate(
    run: RunFolder,
    /,
    *,
    truth: Annotated[Path, Parameter(help="The simulated data set that the run was trained on.")],
    particles: Annotated[int, Parameter(help="How many random particles' maps are compared.")] = 100,
    device: Device = "auto",
) -> None:
    """Figures against a known truth, added to RUN/metrics.json.

    Example: `hypermol evaluate run --truth data`
    """
    from hypermol.cli.options import say_device
    from hypermol.cli.progress import Steps
    from hypermol.cli.say import say
    from hypermol.runs import Run, in_words
    from hypermol.validation import evaluate_run

    if particles < 1:
        raise ConfigError(f"--particles {particles}: expected at least 1")
    opened = Run.open(run)
    say_device(device)
    found = evaluate_run(opened, truth, particles=particles, device=device, progress=Steps("maps compared"))
    opened.save_metrics(found)
    width = max(map(len, found))
    for name, figure in found.items():
        say(f"{name:<{width}}  {in_words(name, figure)}")
    say(f"figures: {opened.path / 'metrics.json'}")
