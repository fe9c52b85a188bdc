"""hypermol evaluate"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from hypermol.cli.options import Device


def evaluate(
    run: Annotated[Path, Parameter(help="A run folder.")],
    /,
    *,
    truth: Annotated[Path, Parameter(help="The simulated data set that the run was trained on.")],
    particles: Annotated[int, Parameter(help="How many random particles' maps are compared.")] = 100,
    device: Device = "auto",
) -> None:
    """Figures against a known truth, added to RUN/metrics.json.

    Example: `hypermol evaluate run --truth data`
    """
    from hypermol.runs import Run
    from hypermol.validation import evaluate_run

    opened = Run.open(run)
    found = evaluate_run(opened, truth, particles=particles, device=device)
    opened.save_metrics(found)
    width = max(map(len, found))
    for name, figure in found.items():
        value = figure["value"]
        text = "-" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)
        print(f"{name:<{width}}  {text} {figure['unit']}")
