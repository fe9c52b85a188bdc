"""The central test: does the change of the map along an axis of z reproduce between two halves that share nothing?"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hypermol.runs import Run
from hypermol.validation.axes import Frame, frame_of, pose_and_ctf
from hypermol.validation.change_maps import change_maps
from hypermol.validation.pieces import Piece, Whole, latent_of, piece_source
from hypermol.validation.reproduction import Reproduction, reproduction
from hypermol.validation.shape_change import shape_change

PER_AXIS = ("significance", "resolution", "share", "curve")


@dataclasses.dataclass(frozen=True)
class Motion:
    """What two pieces say about motion, axis by axis (q, the strongest first; none where a model makes no use of z).

    frames: z of either half's model → coordinates along the matched axes. significance [q] (standard deviations above
    chance), resolution [q] (Å, infinite where there is none) and curve [q, D/2] of the changes of shape; share [q]: how
    much of what reproduces along the axis is a change of shape, 0 to 1. anything: significance and resolution of
    the best axis when contrast, rigid moves and what is round are left in, empty where there is no axis.
    changes [2, q, D, D, D]: the maps compared (not kept in ``arrays``).
    """

    frames: tuple[Frame, Frame]
    significance: np.ndarray
    resolution: np.ndarray
    share: np.ndarray
    curve: np.ndarray
    anything: np.ndarray
    changes: Tensor | None = None

    @property
    def count(self) -> int:
        """q."""
        return len(self.significance)

    def arrays(self) -> dict[str, np.ndarray]:
        """All but the maps, to be kept in a file."""
        values = {name: getattr(self, name) for name in (*PER_AXIS, "anything")}
        for half, frame in enumerate(self.frames):
            values |= {f"{name}-{half}": np.asarray(value) for name, value in dataclasses.asdict(frame).items()}
        return values

    @classmethod
    def from_arrays(cls, values: Mapping[str, np.ndarray]) -> Motion:
        """Inverse of ``arrays``."""
        names = [field.name for field in dataclasses.fields(Frame)]
        parts: list[dict[str, Any]] = [{name: values[f"{name}-{half}"] for name in names} for half in range(2)]
        first, second = (Frame(**{**part, "nuisance": float(part["nuisance"])}) for part in parts)
        return cls((first, second), **{str(name): values[name] for name in (*PER_AXIS, "anything")}, changes=None)


def motion_between(whole: Whole, pieces: tuple[Piece, Piece], runs: tuple[Run, Run], conduct: Any) -> Motion:
    """Compare two finished pieces, each by the z of its own particles and by their own images.

    Neither half sees an image, a map or a z of the other. Raises DataError where z is not finite.
    """
    nuisance = pose_and_ctf(whole.particles)
    rows = [whole.rows(piece.half) for piece in pieces]
    latent = [latent_of(run, len(chosen)) for run, chosen in zip(runs, rows)]
    first, second = (frame_of(z, nuisance[chosen]) for z, chosen in zip(latent, rows))
    if min(first.count, second.count) == 0:
        none = np.zeros(0)
        return Motion((first.along(np.zeros((first.count, 0))), second), none, none, none, np.zeros((0, 0)), none)
    one, two = (piece_source(whole, piece, conduct) for piece in pieces)
    own = [f.coordinates(z, nuisance[chosen]) for f, z, chosen in zip((first, second), latent, rows)]
    changes, means = _changes((one, two), own)
    shapes = [shape_change(change, mean) for change, mean in zip(changes, means)]
    shape = reproduction(shapes[0], shapes[1], one.pixel_size)
    anything = reproduction(changes[0], changes[1], one.pixel_size)
    return Motion(
        (first.along(shape.first.double().numpy()), second.along(shape.second.double().numpy())),
        shape.significance.numpy(),
        np.array(shape.resolution),
        _shares(shape, changes),
        shape.curve.numpy(),
        np.array([float(anything.significance[0]), anything.resolution[0]]),
        shape.changes,
    )


def _changes(sources: tuple[Any, Any], own: list[np.ndarray]) -> tuple[list[Tensor], Tensor]:
    """Change maps of each half; where one model uses more of z than the other, the shorter is padded and cut again."""
    widest = max(c.shape[1] for c in own)
    padded = [np.pad(c, ((0, 0), (0, widest - c.shape[1]))) for c in own]
    changes, means = change_maps(sources, (padded[0], padded[1]))
    return [changes[half, : own[half].shape[1]] for half in range(2)], means


def _shares(shape: Reproduction, changes: list[Tensor]) -> np.ndarray:
    """Reproducible power (the two maps' scalar product) of each axis's change of shape over the whole change's."""
    whole = [torch.einsum("aq,azyx->qzyx", w, c) for w, c in zip((shape.first, shape.second), changes)]
    left = (shape.changes[0].double() * shape.changes[1].double()).sum((1, 2, 3))
    before = (whole[0].double() * whole[1].double()).sum((1, 2, 3))
    return torch.where(before > 0, left / before.clamp(min=1e-300), 0.0).clamp(0, 1).numpy()
