"""hypermol simulate"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from hypermol.cli.options import Settings, parse_settings
from hypermol.errors import ConfigError


def epilogue() -> str:
    """The recipes, for the help."""
    from hypermol.simulation import MOTIONS

    listed = "\n".join(f"* **{name}**: {words}" for name, words in MOTIONS.items())
    return f"Recipes:\n\n{listed}\n\nAny of a recipe's settings can be set: `--set shift_px=2 --set tilts_deg=0,45`"


def simulate(
    recipe: Annotated[str, Parameter(help="A recipe of the list below, or a .toml file.")],
    /,
    *,
    out: Annotated[Path, Parameter(name=["--out", "-o"], help="The folder to make.")],
    n: Annotated[int | None, Parameter(name=["-n", "--n"], help="Number of particles.")] = None,
    box: Annotated[int | None, Parameter(help="Box size, pixels.")] = None,
    snr: Annotated[float | None, Parameter(help="Signal-to-noise ratio; inf for none.")] = None,
    seed: Annotated[int | None, Parameter(help="Seed of every draw.")] = None,
    preset: Annotated[str | None, Parameter(help="paper: sizes of Zhong et al. 2020 (named recipes).")] = None,
    settings: Settings = (),
) -> None:
    """Particle images with a known truth: poses, conformations, noise-free maps.

    Example: `hypermol simulate hinge -o data -n 5000 --box 32 --snr 0.5 --seed 0 --set tilts_deg=0,45`
    """
    from hypermol.cli.progress import Steps
    from hypermol.cli.say import say
    from hypermol.simulation import Recipe
    from hypermol.simulation import simulate as make

    given = {"n": n, "box": box, "snr": snr, "seed": seed, **parse_settings(settings)}
    if preset is not None and recipe.endswith(".toml"):
        raise ConfigError(
            f"--preset {preset} goes with a recipe of the list, and {recipe} states its own sizes; "
            "leave --preset out, or change a size with --n, --box, --snr or --set"
        )
    made = Recipe.from_toml(recipe, **given) if recipe.endswith(".toml") else Recipe.named(recipe, preset, **given)
    stages: dict[str, Steps] = {}

    def progress(stage: str, done: int, total: int) -> None:
        stages.setdefault(stage, Steps(stage))(done, total)

    make(made, out, progress)
    say(f"{made.n} particles of {made.box} px, SNR {made.snr:g}: {out / 'particles.star'}")
