"""What is impossible in a recipe, in words."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from hypermol.simulation.recipe import MOTIONS, nearest

if TYPE_CHECKING:
    from hypermol.simulation.recipe import Recipe

STATES = {"homogeneous": 1, "linear1d": 50, "linear2d": 100, "circular1d": 100, "discrete10": 10}
"""How many states a recipe has where its levels are not set; hinge and transition are continuous."""


def problems_of(recipe: Recipe) -> list[str]:
    """Everything that is impossible in a recipe, one sentence each."""
    return [
        *_problems_of_size(recipe),
        *_problems_of_optics(recipe),
        *_problems_of_molecule(recipe),
        *_problems_of_particles(recipe),
    ]


def _problems_of_particles(r: Recipe) -> list[str]:
    problems = []
    if not 0 <= r.junk < 1:
        problems.append(f"junk = {r.junk}: expected a share of 0 or more, below 1")
    if not 0 <= r.view_concentration < math.inf:
        problems.append(f"view_concentration = {r.view_concentration}: expected 0 (uniform) or more")
    if r.view_axes and not r.view_concentration:
        problems.append("view_axes: directions that are preferred need view_concentration above 0")
    if not all(math.isfinite(sum(axis)) and any(axis) for axis in r.view_axes):
        problems.append(f"view_axes = {r.view_axes}: expected directions [x, y, z] other than [0, 0, 0]")
    low, high = r.contrast_range
    if not 0 < low <= high < math.inf:
        problems.append(f"contrast_range = {r.contrast_range}: expected (low, high), 0 < low <= high")
    return problems + _problems_of_populations(r)


def _problems_of_populations(r: Recipe) -> list[str]:
    if not r.populations:
        return []
    chosen = (2 if r.name == "linear2d" else 1) * (r.levels or 0)
    default = STATES.get(r.name, 0) if r.levels is None else chosen
    states = len(r.models) if r.name == "states" else default
    if states != len(r.populations):
        found = "a continuum" if states == 0 else f"{states} states"
        return [f"populations = {r.populations}: expected one share for each state, found {found}; set levels"]
    if min(r.populations) < 0 or not math.isclose(sum(r.populations), 1.0, abs_tol=1e-6):
        return [f"populations = {r.populations}: expected shares of 0 or more that add up to 1"]
    return []


def _problems_of_size(r: Recipe) -> list[str]:
    problems = []
    if r.n < 1:
        problems.append(f"n = {r.n}: expected at least 1 particle")
    if r.box < 8:
        problems.append(f"box = {r.box}: expected at least 8 px")
    elif r.box % 2:
        problems.append(f"box = {r.box}: boxes must be even; take {r.box - 1} or {r.box + 1}")
    if r.pixel_size is not None and not 0 < r.pixel_size < math.inf:
        problems.append(f"pixel_size = {r.pixel_size}: expected Å above 0")
    if not r.snr > 0:
        problems.append(f"snr = {r.snr}: expected above 0 (0.1 is usual; inf means no noise)")
    if r.shift_px is not None and not 0 <= r.shift_px <= r.box / 2:
        problems.append(f"shift_px = {r.shift_px}: expected 0 to {r.box // 2}, half the box")
    if r.seed < 0 or r.molecule_seed < 0:
        problems.append("seed and molecule_seed must be 0 or above")
    if not r.tilts_deg or any(not -90 < tilt < 90 for tilt in r.tilts_deg):
        problems.append(f"tilts_deg = {r.tilts_deg}: expected one angle or more between -90 and 90")
    return problems


def _problems_of_optics(r: Recipe) -> list[str]:
    problems = []
    low, high = r.defocus_um
    if not 0 < low <= high < 50:
        problems.append(f"defocus_um = {r.defocus_um}: expected (low, high) in µm, 0 < low <= high < 50")
    if not 0 < r.voltage_kv < 5000:
        problems.append(f"voltage_kv = {r.voltage_kv}: expected kV, for example 300")
    if not 0 <= r.cs_mm < 20:
        problems.append(f"cs_mm = {r.cs_mm}: expected mm, for example 2.7")
    if not 0 <= r.amplitude_contrast <= 1:
        problems.append(f"amplitude_contrast = {r.amplitude_contrast}: expected 0 to 1, for example 0.1")
    if not 0 <= r.astigmatism < 1e5:
        problems.append(f"astigmatism = {r.astigmatism}: expected Å, 0 or above")
    return problems


def _problems_of_molecule(r: Recipe) -> list[str]:
    problems = []
    if r.name not in MOTIONS:
        problems.append(f"name = {r.name!r}{nearest(r.name, MOTIONS)}; known: {', '.join(MOTIONS)}")
    if r.sigma is not None and not 0 < r.sigma < math.inf:
        problems.append(f"sigma = {r.sigma}: expected Å above 0")
    if not 0 < r.enlarge < math.inf:
        problems.append(f"enlarge = {r.enlarge}: expected above 0")
    if r.levels is not None and (r.levels < 0 or r.levels == 1):
        problems.append(f"levels = {r.levels}: expected 0 (a continuum) or at least 2")
    if r.name in ("homogeneous", "discrete10", "states") and (r.levels or r.range_deg):
        problems.append(f"levels and range_deg belong to motions along an angle, not to {r.name!r}")
    if r.name == "transition" and r.range_deg:
        problems.append("range_deg belongs to motions along an angle, not to 'transition', which runs from 0 to 1")
    if r.name == "linear2d" and r.range_deg:
        problems.append("range_deg belongs to motions with one angle, not to 'linear2d'")
    if r.range_deg is not None and not -360 <= r.range_deg[0] < r.range_deg[1] <= 360:
        problems.append(f"range_deg = {r.range_deg}: expected (low, high) in degrees, low < high")
    return problems + _problems_of_own_model(r)


def _problems_of_own_model(r: Recipe) -> list[str]:
    if r.name == "states" or (r.name == "transition" and r.models):
        if len(r.models) < 2 or r.model is not None:
            return [f"{r.name!r} needs models = [...] with at least two PDB or mmCIF files, and no model"]
        return []
    if r.name == "transition" and r.model is None:
        return ["'transition' needs models = [...], or one model = ….npz that holds all frames"]
    problems = []
    if r.models:
        problems.append(f"models = [...] belongs to the recipe 'states'; give {r.name!r} one file as model")
    turn = [name for name in ("bond", "pivot", "axis", "moving") if getattr(r, name)]
    turning = r.name in ("hinge", "linear1d", "circular1d")
    if turn and (r.model is None or not turning):
        problems.append(f"{', '.join(turn)}: only for your own model with hinge, linear1d or circular1d")
    if r.model is not None and r.name == "linear2d":
        problems.append("'linear2d' turns two bonds of the pseudo-protein; your own model can turn one (linear1d)")
    hinge = r.pivot is not None and r.axis is not None and bool(r.moving)
    if r.model is not None and turning and r.bond is None and not hinge:
        problems.append(f"{r.name!r} of your own model needs a bond, or pivot, axis and moving")
    if r.axis is not None and not any(r.axis):
        problems.append("axis = (0, 0, 0) has no direction")
    return problems
