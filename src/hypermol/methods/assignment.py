"""Pose and z of particles by search against the maps of a family that was found without either."""

from __future__ import annotations

import dataclasses
import math
from typing import Annotated, Any

import torch
from torch import Tensor

from hypermol.engine import Contribution, Draws, Phase, State, Step
from hypermol.imaging import spacing_deg
from hypermol.kernels import volume_to_grid
from hypermol.methods.kept import Kept
from hypermol.methods.reading import mapped
from hypermol.poses import ScoredImages, SearchedPose, refine_poses, search_poses
from hypermol.reconstruction import insertion
from hypermol.shapes import Float
from hypermol.specs import BuildContext, Count, register

FIRST = "model.volume."


@register("assignment", "search")
@dataclasses.dataclass(frozen=True)
class Assignment:
    """Every particle is searched for in every one of a few maps along z, which lie so that all are equally likely
    beforehand. p(z | image) follows from the likelihood at the best pose in each."""

    conformations: Annotated[Count, "maps along z that each particle is compared with"] = 10
    search: SearchedPose = SearchedPose(first_order=1, kept=6)  # noqa: RUF009 (frozen)
    batch_size: Annotated[Count, "particles at a time"] = 256

    def phase(self, method: Any, context: BuildContext) -> Phase:
        """One pass over the particles; the consensus map at the poses found."""
        step = Step(_Search(self, method, context).contribute, lambda state, totals: mapped(context, state, totals))
        return Phase.whole("assign", step, 1, self.batch_size)


@dataclasses.dataclass
class _Search:
    """``method``: a ``LikelihoodFree``."""

    settings: Assignment
    method: Any
    context: BuildContext

    def __post_init__(self) -> None:
        self._kept = Kept()
        self._z = self.method.along(self.settings.conformations)
        self._band = self.method.bands(self.context.box)(1.0)[0]

    def contribute(self, state: State, batch: Any, draws: Draws) -> Contribution:
        """rotation, shift (Å), log_likelihood (up to a constant), and of a family z with its covariance."""
        images = ScoredImages.of(batch).limit(self._band)
        found = [self._searched(images, grid) for grid in self._grids(state)]
        value = torch.stack([one[2] for one in found], 1)
        best, row = value.argmax(1), torch.arange(batch.size, device=value.device)
        rotation = torch.stack([one[0] for one in found], 1)[row, best].float()
        shift = torch.stack([one[1] for one in found], 1)[row, best].float() * batch.pixel_size
        evidence = value.logsumexp(1) - math.log(value.shape[1])
        rows = {"rotation": rotation, "shift": shift, "log_likelihood": evidence.float()}
        if self._z is not None:
            rows |= moments(value.softmax(1), self._z.to(value))
        sums = insertion(dataclasses.replace(batch, rotation=rotation, shift=shift))
        return Contribution({"sums": sums}, rows, {"nll": -evidence.sum()})

    def _grids(self, state: State) -> list[Tensor]:
        def made() -> list[Tensor]:
            return [volume_to_grid(map_) for map_ in self.method.decoder(state, self.context)(self._z)]

        first = next(value for name, value in state.tensors.items() if name.startswith(FIRST))
        return self._kept.of(first, made)

    def _searched(self, images: ScoredImages, grid: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        search = self.settings.search
        levels = search.levels(self._band)
        rotation, shift, value = search_poses(images, grid, levels).first
        if search.polish:
            step = spacing_deg(levels.last_order) / 2
            rotation, shift, value = refine_poses(images, grid, rotation, shift, step, search.polish)
        return rotation, shift, value.double()


def moments(share: Float[Tensor, "b k"], z: Float[Tensor, "k d"]) -> dict[str, Tensor]:
    """Mean z [B, d] and covariance z_covariance [B, d, d] of posteriors over K values of z."""
    mean = share @ z
    apart = z - mean[:, None]
    covariance = torch.einsum("bk,bkd,bke->bde", share, apart, apart)
    return {"z": mean.float(), "z_covariance": covariance.float()}
