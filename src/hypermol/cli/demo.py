"""hypermol demo"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from hypermol.cli.options import Device
from hypermol.shell import quoted

PARTICLES, BOX, SNR = 5000, 32, 0.5


def demo(
    *,
    out: Annotated[Path, Parameter(name=["--out", "-o"], help="The folder to make.")] = Path("demo"),
    seed: Annotated[int, Parameter(help="Seed of the molecule's images and of the training.")] = 0,
    device: Device = "auto",
) -> None:
    """The whole story in minutes, no input needed: simulate a hinge, reconstruct it, evaluate, report.

    Run again, it goes on where it was stopped.

    Example: `hypermol demo -o demo`
    """
    from hypermol.cli.analyze import analyze
    from hypermol.cli.evaluate import evaluate
    from hypermol.cli.report import report
    from hypermol.cli.say import say
    from hypermol.cli.simulate import simulate
    from hypermol.cli.train import train

    began = time.monotonic()
    data, run = out / "data", out / "run"
    words = f"{PARTICLES:,} images of {BOX} px at SNR {SNR:g}, each with its own angle"
    say(f"\n== 1/5 a molecule with a hinge: {words}")
    if not (data / "simulation.toml").exists():
        simulate("hinge", out=data, n=PARTICLES, box=BOX, snr=SNR, seed=seed, settings=("shift_px=2.0",))
    if (run / "config.toml").exists():
        say(f"\n== 2/5 going on with {run}")
        train(resume=run, device=device)
    else:
        options = f"--set seed={seed}"
        say(
            f"\n== 2/5 learning the motion: hypermol train {quoted(data / 'particles.star')} -o {quoted(run)} {options}"
        )
        train(data / "particles.star", out=run, settings=(f"seed={seed}",), device=device)
    say("\n== 3/5 the landscape of conformations")
    analyze(run, clusters=6, points=12, device=device)
    say("\n== 4/5 how close it is to the truth (the images' own limit beside it)")
    evaluate(run, truth=data, device=device)
    say("\n== 5/5 the report")
    report(run)
    say(f"\nthe whole demo took {(time.monotonic() - began) / 60:.1f} minutes; open the report in a browser")
