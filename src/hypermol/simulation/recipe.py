"""Recipes: everything that defines a simulated data set, as data. The same recipe gives the same images."""

from __future__ import annotations

import difflib
import math
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from hypermol import specs
from hypermol.errors import ConfigError
from hypermol.simulation.views import ViewDensity

MOTIONS = {
    "homogeneous": "one rigid molecule",
    "linear1d": "one chain turned about its bond to the core by -45° to +45°, 50 models at equal steps",
    "linear2d": "that chain by -45° to +45° or another about its own bond by -90° to +90°, 50 models along each",
    "circular1d": "one chain turned about its bond through 360°, 100 models at equal steps",
    "discrete10": "ten random arrangements of the chains",
    "hinge": "the middle chain of the built-in hinged molecule turned by -30° to +30°, continuous and uniform",
    "states": "a list of your own models (models = [...]), in equal parts",
    "transition": "your own models of the same atoms along a transition, continuous and uniform from first to last",
}
"""What each recipe simulates. ``hinge`` has a molecule of its own, ``states`` and ``transition`` have yours; the others
use the built-in pseudo-protein, or ``model``."""

_TABLE_1 = {"n": 50_000, "ctf": False}
PAPER: dict[str, dict[str, Any]] = {
    "homogeneous": {**_TABLE_1, "box": 128, "shift_px": 10.0, "snr": 0.1},
    **{
        name: {**_TABLE_1, "box": 64, "shift_px": 5.0, "snr": math.inf, "pixel_size": 11.25, "enlarge": 3.75}
        for name in ("linear1d", "linear2d", "circular1d", "discrete10")
    },
}
"""Sizes of Zhong et al. 2020 (appendices B and C): images, box, shifts, and 720 Å of extent at 64 px, which the
pseudo-protein is enlarged to fill. There is no CTF, and no noise where the paper states none."""


@specs.register("recipe", "recipe")
@dataclass(frozen=True)
class Recipe:
    """A simulated data set. Lengths are in Å unless the name ends in _px or _um.

    name            one of MOTIONS
    n, box, seed    particles; box size (px, even); seed of every draw
    pixel_size      default: 192 Å across the box for the built-in molecules, 1.5 diameters for your own
    snr             variance of all clean, CTF-affected pixels over the noise variance; inf for no noise
    shift_px        shifts are uniform within ± this in each direction; default box/16
    ctf, voltage_kv, cs_mm, amplitude_contrast, astigmatism (largest U - V, uniform)
    defocus_um      (low, high): the ends of a uniform distribution, or, for ``log-normal``, the 2.5th and
                    97.5th percentiles
    tilts_deg       tilts about x of the images of each particle; (0, 45) makes tilt pairs
    levels          models at equal steps along each angle; 0 for a continuum; default as MOTIONS says
    populations     shares of the states (levels or models), in their order; default equal
    junk            share of the particles that show no intact molecule (half nothing at all, half its chains apart)
    view_concentration   0: viewing directions uniform; κ: von Mises-Fisher about the molecule's z axis,
    view_axes       or about each of these directions, in equal parts
    contrast_range  (low, high) of each image's own contrast, uniform
    range_deg       (low, high) of the angle of a motion with one angle, other than its default
    sigma           width of an atom's Gaussian; default 3 for pseudo-atoms, 1.5 for your own atoms
    atoms, molecule_seed, enlarge   pseudo-protein: atoms, seed, and factor on its coordinates and sigma
    model, models   your own PDB, mmCIF or .npz file (or files, for ``states`` and ``transition``; see read_model)
    bond            two atoms "chain/residue/atom": the turn is about the line through them, and what follows
                    the second one in its chain moves, or what ``moving`` names: chains, or residues as "H/1-230"
    pivot, axis, moving   a hinge instead: a point of the line (in the file's frame), its direction, the chains
    """

    name: str = "hinge"
    n: int = 10_000
    box: int = 64
    pixel_size: float | None = None
    snr: float = 0.1
    seed: int = 0
    shift_px: float | None = None
    ctf: bool = True
    voltage_kv: float = 300.0
    cs_mm: float = 2.7
    amplitude_contrast: float = 0.1
    defocus: Literal["uniform", "log-normal"] = "uniform"
    defocus_um: tuple[float, float] = (1.0, 2.5)
    astigmatism: float = 0.0
    tilts_deg: tuple[float, ...] = (0.0,)
    levels: int | None = None
    range_deg: tuple[float, float] | None = None
    populations: tuple[float, ...] = ()
    junk: float = 0.0
    view_concentration: float = 0.0
    view_axes: tuple[tuple[float, float, float], ...] = ()
    contrast_range: tuple[float, float] = (1.0, 1.0)
    sigma: float | None = None
    atoms: int = 1350
    molecule_seed: int = 0
    enlarge: float = 1.0
    model: str | None = None
    models: tuple[str, ...] = ()
    bond: tuple[str, str] | None = None
    pivot: tuple[float, float, float] | None = None
    axis: tuple[float, float, float] | None = None
    moving: tuple[str, ...] = ()

    @staticmethod
    def named(name: str, preset: str | None = None, **settings: Any) -> Recipe:
        """The recipe of a motion; settings that are None keep their default. ``preset="paper"`` takes the
        sizes of Zhong et al. 2020. Raises ConfigError for unknown names, settings and impossible values."""
        if name not in MOTIONS:
            raise ConfigError(f"unknown recipe {name!r}{nearest(name, MOTIONS)}; known: {', '.join(MOTIONS)}")
        if preset not in (None, "paper"):
            raise ConfigError(f"unknown preset {preset!r}; the only one is 'paper'")
        if preset and name not in PAPER:
            raise ConfigError(f"{name!r} has no preset 'paper'; those that have: {', '.join(PAPER)}")
        given = {key: value for key, value in settings.items() if value is not None}
        sizes = PAPER[name] if preset else {}
        return _checked({**sizes, **given, "name": name})

    @staticmethod
    def from_toml(path: Path | str, **settings: Any) -> Recipe:
        """A recipe from a TOML file (the settings at the top level or in a table [recipe], as in a
        ``simulation.toml``); model files are looked for beside it. ``settings`` win over the file."""
        path = Path(path)
        try:
            data = tomllib.loads(path.read_text())
        except FileNotFoundError:
            raise ConfigError(
                f"{path}: no such recipe file{nearest(str(path), MOTIONS)}; give a TOML file or one of "
                f"{', '.join(MOTIONS)}"
            ) from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
            raise ConfigError(f"{path}: not a readable TOML recipe: {error}") from None
        table = data.get("recipe", data)
        if not isinstance(table, dict):
            raise ConfigError(f"{path}: [recipe] must be a table of settings")
        table = {key: value for key, value in table.items() if key not in ("kind", "format")}
        given = {key: value for key, value in settings.items() if value is not None}
        recipe = _checked({**table, **given})
        beside = lambda file: str((path.parent / file).resolve())  # noqa: E731
        models = tuple(map(beside, recipe.models)) if "models" not in given else recipe.models
        own = recipe.model is not None and "model" not in given
        return replace(recipe, models=models, model=beside(recipe.model) if own else recipe.model)

    @property
    def view_density(self) -> ViewDensity:
        """Where the molecule is seen from."""
        return ViewDensity(self.view_concentration, self.view_axes)

    @property
    def own_model(self) -> bool:
        """Whether the molecule comes from the user's files."""
        return self.model is not None or bool(self.models)


def _checked(values: dict[str, Any]) -> Recipe:
    recipe: Recipe = specs.from_dict("recipe", {**values, "kind": "recipe"})
    check_recipe(recipe)
    return recipe


def check_recipe(recipe: Recipe) -> None:
    """Raise one ConfigError that lists everything that is impossible in a recipe."""
    from hypermol.simulation.recipe_checks import problems_of

    problems = problems_of(recipe)
    if len(problems) == 1:
        raise ConfigError(f"recipe: {problems[0]}")
    if problems:
        raise ConfigError("recipe: " + "".join(f"\n  - {problem}" for problem in problems))


def nearest(word: str, known: Any) -> str:
    close = difflib.get_close_matches(word, list(known), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""
