"""How a finished method looks at particles that it was not trained on, and how well they fit what it learned."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hypermol.engine import Draws, State
from hypermol.errors import ConfigError
from hypermol.kernels import slice_grid, volumes_to_grid
from hypermol.methods.context import stored_context
from hypermol.methods.record import finished_state, run_method
from hypermol.objectives import predicted_images
from hypermol.posteriors import Hypotheses
from hypermol.runs import Run
from hypermol.shapes import Complex, Float

Look = Callable[[State, Any, Draws], dict[str, Tensor]]
FIT_SHELLS = 24
"""Shells in which images are compared with what they should look like: finer ones hold noise, and take most time."""
FIT = ("fit", "fit_error", "residual")


@dataclasses.dataclass(frozen=True)
class Unseen:
    """``look(state, batch, draws)``: what is inferred of the particles of a batch, as rows of the method's estimates;
    ``volume``: what offers ``slices(k, z)``, the family of maps that images are compared with; ``refined(steps)``: a
    look that goes on from an encoder's z by so many gradient steps per particle, where there is an encoder."""

    look: Look
    volume: Any
    refined: Callable[[int], Look] | None = None


class LinearVolume:
    """Maps [C, D, D, D] as a family: the first, and the others times the coordinates of z."""

    def __init__(self, maps: Float[Tensor, "c d d d"]) -> None:
        self.grid, self.box = volumes_to_grid(maps.float()), maps.shape[-1]

    def slices(self, k: Float[Tensor, "*b p 3"], z: Float[Tensor, "*b d"] | None) -> Complex[Tensor, "*b p"]:
        """The transform at k; of the first map alone where there are no others."""
        values = slice_grid(self.grid.to(k.device), k, self.box)
        if values.shape[-1] == 1 or z is None:
            return values[..., 0]
        return values[..., 0] + (values[..., 1:] * z[..., None, :].to(values.real)).sum(-1)


def unseen_of(run: Run, device: torch.device, z_steps: int = 0) -> tuple[Unseen, State]:
    """A finished run ready to look at other particles, and its final state. ``z_steps``: see ``Unseen.refined``.

    Raises ConfigError where the run has not finished, or its method cannot do this; the message says what can.
    """
    state = finished_state(run)
    method, state = run_method(run), state.to(device)
    if not hasattr(method, "unseen"):
        raise ConfigError(
            f"{run.path}: {method.name} cannot be applied to particles that it was not trained on; train it on these "
            "particles, or infer them from a run of another method (`hypermol methods`)"
        )
    known = run.estimates() if (run.path / "estimates.npz").exists() else {}
    unseen: Unseen = method.unseen(state, stored_context(run, state), known)
    if z_steps:
        if unseen.refined is None:
            raise ConfigError(f"{run.path}: {method.name} has no encoder whose z could be refined; leave --z-steps out")
        unseen = dataclasses.replace(unseen, look=unseen.refined(z_steps))
    return unseen, state


@torch.no_grad()
def fit_rows(volume: Any, batch: Any, found: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """How each particle's images agree with what they should look like at the pose and z found, [B] each.

    fit: the factor by which the expected images must be multiplied to explain them best (1: as expected, 0: nothing in
    common); fit_error: its standard error from noise alone; residual: mean of |X - fit · expected|²/σ², 1 for noise.
    """
    low = batch.limit(min(FIT_SHELLS, batch.lattice.box // 2 - 1))
    rotation, shift = found.get("rotation", batch.rotation), found.get("shift", batch.shift)
    z = found["z"][:, None].float() if "z" in found else None
    pose = {"rotation": rotation[:, None].float(), "shift": shift[:, None].float()}
    expected = predicted_images(volume, Hypotheses(**pose, z=z), low)[:, 0]
    weight = low.lattice.weight / low.variance * low.valid[..., None]
    overlap = ((low.images.conj() * expected).real * weight).double().sum((1, 2))
    power = (expected.abs().square() * weight).double().sum((1, 2)).clamp(min=1e-12)
    energy = (low.images.abs().square() * weight).double().sum((1, 2))
    pixels = (low.lattice.weight * low.valid[..., None]).double().sum((1, 2))
    left = (energy - overlap.square() / power) / pixels
    return {"fit": (overlap / power).float(), "fit_error": (2 * power).rsqrt().float(), "residual": left.float()}


def unseen_placed(state: State) -> Unseen:
    """For ``backprojection``, which infers nothing: how well each image fits the map at its pose."""

    def look(state: State, batch: Any, draws: Draws) -> dict[str, Tensor]:
        return {}

    return Unseen(look, LinearVolume((state.tensors["consensus"] * state.tensors["mask"])[None]))


def need_z(known: Mapping[str, np.ndarray], name: str) -> np.ndarray:
    """z of the run's own particles. Raises ConfigError where they are missing."""
    if "z" not in known:
        raise ConfigError(f"{name}: the run has no z of its own particles (estimates.npz), which others are held to")
    return known["z"]
