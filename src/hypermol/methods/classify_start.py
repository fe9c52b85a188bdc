"""Where ``classify`` starts: principal coordinates of the particles in a coarse box, and classes placed in them."""

from __future__ import annotations

import dataclasses
import warnings
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hypermol.conformations import gaussian_posterior
from hypermol.engine import Clock, Contribution, Draws, State, generator
from hypermol.errors import DataError
from hypermol.kernels import volumes_to_grid
from hypermol.methods import ppca, ppca_steps
from hypermol.methods.classify_images import coarse, coarse_box
from hypermol.methods.masks import SHAPES, given_mask
from hypermol.methods.particle_images import Images
from hypermol.specs import BuildContext

CLUSTERED = 20_000  # particles whose coordinates are clustered
TRIES = 10  # of k-means, for the start from clusters


@dataclasses.dataclass
class Start:
    """Steps before the first classes: principal volumes of each half, the coordinates of each particle under those of
    its own half. ``settings``: a ``Classes``."""

    settings: Any
    context: BuildContext

    def __post_init__(self) -> None:
        settings, context = self.settings, self.context
        self.box = coarse_box(context.box, settings.start_band)
        size = context.pixel_size * context.box / self.box
        principal = ppca.PrincipalVolumes(
            z_dim=max(1, settings.classes - 1),
            passes=settings.component_passes,
            contrast=settings.contrast,
            mask="sphere" if settings.mask == "sphere" else "auto",
            oversampling=settings.oversampling,
            march_start=1.0,
        )
        self.principal = ppca_steps.Steps(principal, dataclasses.replace(context, box=self.box, pixel_size=size))

    def initial(self) -> State:
        """No maps yet, in the coarse box."""
        state = self.principal.initial()
        state.data |= {"box": self.context.box, "pixel_size": self.context.pixel_size}
        return state

    def fit_components(self, state: State, batch: Any, draws: Draws) -> Contribution:
        """The E-step of principal volumes."""
        return self.principal.fit_halves(state, coarse(batch, self.box), draws)

    def components(self, state: State, totals: dict[str, Tensor]) -> State:
        """Their M-step. Raises DataError where a half set is empty."""
        if bool((totals["moments"][:, 0, 0] == 0).any()):
            raise DataError(
                "classes: one of the two half sets holds no particle, so that nothing tells signal from noise; "
                "give rlnRandomSubset (or alignments3D/split) both its values, or leave the column out"
            )
        # in this box's one band, whichever phase of a job it is: only the first does not make it grow
        return self.principal.halves_maps(dataclasses.replace(state, clock=Clock(updates=state.clock.updates)), totals)

    def coordinates(self, state: State, batch: Any, draws: Draws) -> Contribution:
        """z of each particle under the principal volumes of its own half."""
        images = Images.of(coarse(batch, self.box), self.settings.oversampling)
        grids = [volumes_to_grid(maps, self.settings.oversampling) for maps in state.tensors["maps"]]
        statistics = images.moments(grids, images.half)
        found = gaussian_posterior(*statistics, float(state.tensors["contrast_variance"]))
        return Contribution(rows={"z": found.mean.float()}, info={"nll": -found.log_evidence.sum()})

    def candidates(self, state: State) -> State:
        """For each number of classes, models whose classes stand at points of the principal coordinates: the centres
        of clusters, and the same number of particles drawn far apart (k-means++; Arthur & Vassilvitskii 2007)."""
        settings, tensors = self.settings, state.tensors
        z, maps = state.table["z"].double().cpu(), tensors["maps"]
        models, differences, weights = [], [], []
        if settings.choose:
            models, differences, weights = [1], [torch.zeros_like(maps[:, :1])], [z.new_ones(1)]
        for classes in range(2, settings.classes + 1) if settings.choose else (settings.classes,):
            for restart in range(1 + settings.restarts):
                centres, shares = placed(z, classes, restart, self.context.seed)
                models.append(classes)
                differences.append(torch.einsum("kz,hzabc->hkabc", centres.to(maps), maps[:, 1:]))
                weights.append(shares)
        tensors = {
            "common": maps[:, :1].expand(-1, len(models), -1, -1, -1).contiguous(),
            "difference": torch.cat(differences, 1),
            "weights": torch.cat(weights).expand(2, -1).contiguous(),
            "power_common": tensors["power"][0],
            "power_difference": tensors["power"][1:].sum(0).expand(len(models), -1).contiguous(),
            **self._masks(tensors["mask"]),
            "contrast_variance": tensors["contrast_variance"],
        }
        return State(
            tensors, {}, {**state.data, "models": models, "starting": True, "reseeded": [0] * len(models), "moved": 1.0}
        )

    def _masks(self, support: Tensor) -> dict[str, Tensor]:
        """Where maps are not 0, and where classes may differ: the same, or the region that was given."""
        if self.settings.mask in SHAPES:
            return {"support": support, "mask": support}
        return {"support": support, "mask": given_mask(self.settings.mask, self.context.box, self.box).to(support)}


def placed(z: Tensor, classes: int, restart: int, seed: int) -> tuple[Tensor, Tensor]:
    """Points [K, d] where classes begin, and the share [K] of the particles nearest to each. Restart 0: centres of
    clusters of ``z`` [N, d]; others: particles drawn far apart, with what is nearest to them averaged once."""
    from scipy.cluster.vq import kmeans2, vq

    numbers = np.random.default_rng(
        int(torch.randint(1 << 62, (1,), generator=generator(seed, "starts", classes, restart)))
    )
    rows = z.numpy() if len(z) <= CLUSTERED else z.numpy()[numbers.choice(len(z), CLUSTERED, replace=False)]
    tries = TRIES if restart == 0 else 1
    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of an empty cluster: a class is then begun anew
        for _ in range(tries):
            centres, _ = kmeans2(rows, classes, iter=30 if restart == 0 else 1, minit="++", rng=numbers)
            found.append((float(np.square(vq(rows, centres)[1]).sum()), centres))
    centres = min(found, key=lambda pair: pair[0])[1]
    label = vq(z.numpy(), centres)[0]
    shares = np.maximum(np.bincount(label, minlength=classes), 1).astype(np.float64)
    return torch.from_numpy(centres), torch.from_numpy(shares / shares.sum())
