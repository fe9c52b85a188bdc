"""The steps of ``covariance``: what each batch contributes, and what follows from the sums of a pass."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from torch import Tensor

from hypermol.conformations import gaussian_posterior
from hypermol.engine import Contribution, Draws, State
from hypermol.errors import ConfigError
from hypermol.imaging import fourier_crop, fourier_pad
from hypermol.kernels import volumes_to_grid
from hypermol.maps import centred_sphere, filtered
from hypermol.methods.kept import Kept
from hypermol.methods.masks import first_mask
from hypermol.methods.particle_images import Images
from hypermol.methods.ppca_steps import Steps
from hypermol.methods.principal_volumes import bend_deposit, bend_of, estimated, in_unit_variance, unit_of
from hypermol.metrics import fsc
from hypermol.metrics.half_shells import half_shells
from hypermol.reconstruction import (
    Accumulators,
    ColumnInsertion,
    ColumnSums,
    Insertion,
    LinearSums,
    ReducedCovariance,
    chosen_columns,
    first_below,
    form_maps,
    insertion,
    molecule_mask,
    ordered,
    pair_totals,
    profile_volume,
    regularised_columns,
    residual,
    subspace,
    turned_alike,
    variance_insertion,
)
from hypermol.reconstruction.support import FAINTEST_FSC, smooth
from hypermol.specs import BuildContext

BEYOND = 3  # shells beyond those in which the half maps agree that are still looked at


@dataclasses.dataclass
class CovarianceSteps:
    """State: mean [D, D, D], maps [2, C, D, D, D], basis [C, D, D, D], places [M, 3], mask; data: band.

    ``settings``: a ``CovarianceVolumes``. ``linear``: how ``ppca`` says how many components there are.
    """

    settings: Any
    context: BuildContext

    def __post_init__(self) -> None:
        self.linear = Steps(self.settings, self.context)
        self._kept = Kept()

    def initial(self) -> State:
        """Nothing yet but the mask: a sphere, or the one given."""
        settings, box = self.settings, self.context.box
        if settings.z_dim > settings.subspace or settings.subspace > 2 * settings.columns:
            raise ConfigError(
                f"{settings.columns} columns span at most {2 * settings.columns} dimensions: expected "
                f"z_dim ≤ subspace ≤ 2 columns, found z_dim = {settings.z_dim}, subspace = {settings.subspace}"
            )
        mask = first_mask(settings.mask, box)
        data = {"box": box, "pixel_size": self.context.pixel_size, "points": self.context.points}
        return State(tensors={"mask": mask, "contrast_variance": torch.zeros(1, dtype=torch.float64)}, data=data)

    def add_images(self, state: State, batch: Any, draws: Draws) -> Contribution:
        """Back projection."""
        return Contribution({"sums": insertion(batch, self.settings.oversampling)})

    def mean(self, state: State, totals: dict[str, Tensor]) -> State:
        """The mean of all, and of each half, filtered to what it is worth; how far covariances are looked at."""
        box, tensors = self.context.box, dict(state.tensors)
        found = form_maps(
            Accumulators.view(totals["sums"], box, self.settings.oversampling),
            self.context.pixel_size,
            self.context.seed,
        )
        curve = found.curves.unmasked
        gain = profile_volume(smooth(curve.double()).clamp(FAINTEST_FSC, 1), box)
        halves = torch.stack([filtered(map_ * centred_sphere(box), gain) for map_ in found.half_maps])
        agreed = first_below(curve, 0.143) - 1
        band = max(4, min(box // 2 - 1, agreed + BEYOND, self.settings.finest))
        tensors |= {"basis": found.map[None], "maps": halves[:, None], "mean_fsc": curve, "half_means": found.half_maps}
        if self.settings.mask == "auto":
            tensors["mask"] = found.mask
        return State(tensors=tensors, data={**state.data, "band": band})

    def add_variance(self, state: State, batch: Any, draws: Draws) -> Contribution:
        """The diagonal of the covariance."""
        return Contribution({"sums": variance_insertion(self._residual(state, batch))})

    def choose(self, state: State, totals: dict[str, Tensor]) -> State:
        """Which columns."""
        settings, box = self.settings, self.context.box
        halves = LinearSums.completed(totals["sums"], box, 1, 1)
        record, nearest = halves[0].records + halves[1].records, settings.kernel + 0.5
        places = chosen_columns(record, settings.columns, settings.spacing, nearest, state.data["band"])
        return State(tensors={**state.tensors, "places": places}, data=state.data)

    def add_columns(self, state: State, batch: Any, draws: Draws) -> Contribution:
        """What the residual images say of the columns."""
        images, places = self._residual(state, batch), state.tensors["places"]
        return Contribution({"sums": ColumnInsertion(images, places, self.settings.kernel, self._column_box(state))})

    def span(self, state: State, totals: dict[str, Tensor]) -> State:
        """The subspace that the regularised columns span, of each half and of all images."""
        box, small, tensors = self.context.box, self._column_box(state), dict(state.tensors)
        first, second = ColumnSums.completed(totals["sums"], small)
        if self.settings.mask == "auto":
            rough = regularised_columns(first, second, centred_sphere(small))
            moving = rough.whole.square().sum(0).sqrt()
            pixel = self.context.pixel_size * box / small
            around = fourier_pad(molecule_mask(moving, pixel, 2 * pixel)[0], box, 3).clamp(0, 1)
            tensors["mask"] = torch.maximum(tensors["mask"], around)
        mask = tensors["mask"]
        found = regularised_columns(first, second, fourier_crop(mask, small, 3).clamp(0, 1))
        means = (*state.tensors["maps"][:, 0], state.tensors["basis"][0])
        spans = [
            subspace(mean * mask, fourier_pad(columns, box, 3) * mask, self.settings.subspace)
            for mean, columns in zip(means, (*found.halves, found.whole), strict=True)
        ]
        least = min(map(len, spans))
        tensors |= {"maps": torch.stack([spans[0][:least], spans[1][:least]]), "basis": spans[2][:least]}
        tensors["column_fsc"] = found.fsc
        return State(tensors=tensors, data=state.data)

    def add_moments(self, state: State, batch: Any, draws: Draws) -> Contribution:
        """The normal equations of the covariance in the subspace: of each half in its own, of all in the common one."""
        images, (*halves, common) = self._images(state, batch), self._grids(state)
        own, whole = images.moments(halves, images.half), images.moments([common], torch.zeros_like(images.half))
        totals: dict[str, Any] = {"common": pair_totals(*whole)}
        for half in range(2):
            some = images.half == half
            totals[f"half{half}"] = pair_totals(own[0][some], own[1][some])
        counts = torch.stack([(batch.half == half).sum() for half in range(2)]).double()
        return Contribution({**totals, "counts": counts})

    def halves(self, state: State, totals: dict[str, Tensor]) -> State:
        """Components of each half, brought to one gauge, with the FSC between them; the contrast's variance."""
        settings, counts, tensors = self.settings, totals["counts"], dict(state.tensors)
        models = []
        for half in range(2):
            reduced = ReducedCovariance.of(totals[f"half{half}"], int(counts[half]))
            rows, _ = reduced.components(settings.z_dim, settings.contrast)
            models.append(_with_mean(tensors["maps"][half], rows))
        whole = ReducedCovariance.of(totals["common"], int(counts.sum()))
        first, second = turned_alike(models[0], models[1], tensors["mask"])
        curves = fsc(first, second)
        curves[0] = tensors["mean_fsc"].to(curves)
        average = (first + second) / 2
        tensors |= {"maps": torch.stack([first, second]), "fsc": curves, "power": _shell_power(average)}
        tensors |= {"covariance": whole.covariance, "information": whole.information}
        _, variance = whole.components(settings.z_dim, settings.contrast)
        tensors["contrast_variance"] = torch.full((1,), variance, dtype=torch.float64)
        return State(tensors=tensors, data=state.data)

    def confirmed(self, state: State, totals: dict[str, Tensor]) -> State:
        """Keep as many components as the other half's images confirm, of the covariance of all images."""
        found, tensors = self.linear.confirmed(state, totals), dict(state.tensors)
        reduced = ReducedCovariance(tensors["covariance"], tensors["information"])
        rows, variance = reduced.components(len(found.tensors["joint"]) - 1, self.settings.contrast)
        kept = {name: found.tensors[name] for name in ("fsc", "mask", "half_means")}
        kept["joint"] = ordered(_with_mean(tensors["basis"], rows))
        kept["contrast_variance"] = torch.full((1,), variance, dtype=torch.float64)
        return State(tensors=kept, data=found.data)

    def estimate(self, state: State, batch: Any, draws: Draws) -> Contribution:
        """What each particle is, under the final components."""
        images = self._images(state, batch)
        statistics = images.moments(self._grids(state), torch.zeros_like(images.half))
        found = gaussian_posterior(*statistics, float(state.tensors["contrast_variance"]))
        contribution = estimated(found, self.settings.contrast)
        contribution.totals.update(bend_deposit(found, images))
        return contribution

    def unit_variance(self, state: State, totals: dict[str, Tensor]) -> State:
        """The unit of z."""
        joint, table = in_unit_variance(state.tensors["joint"], state.table, totals["power of z"])
        unit = unit_of(totals["power of z"], state.table)
        bend = bend_of(totals, state.tensors, self.context.box, self.settings.oversampling)
        tensors = {**state.tensors, "joint": joint, "unit": unit}
        return State(tensors=tensors, table=table, data={**state.data, "bend": bend})

    def _images(self, state: State, batch: Any) -> Images:
        return Images.of(batch.limit(state.data["band"]), self.settings.oversampling)

    def _residual(self, state: State, batch: Any) -> Insertion:
        images = insertion(batch.limit(state.data["band"]), 1)
        return residual(images, [grid[..., :1] for grid in self._grids(state)[:2]], self.context.box)

    def _column_box(self, state: State) -> int:
        return min(self.context.box, 2 * (int(state.data["band"]) + 2))

    def _grids(self, state: State) -> list[Tensor]:
        """Fourier grids of the means or bases, of each half, then of all; in the end of the final maps. Made once per
        update."""
        final = "joint" in state.tensors
        maps = state.tensors["joint"] if final else state.tensors["maps"]
        models = [maps] if final else [*maps, state.tensors["basis"]]
        return self._kept.of(maps, lambda: [volumes_to_grid(model, self.settings.oversampling) for model in models])


def _with_mean(basis: Tensor, rows: Tensor) -> Tensor:
    """(mean, components [K, D, D, D]) of coefficients [K, C] on (mean, basis)."""
    return torch.cat([basis[:1], torch.tensordot(rows.to(basis), basis, 1)])


def _shell_power(maps: Tensor) -> Tensor:
    """Mean |V(k)|² per map and shell."""
    shells = half_shells(maps.shape[-1], maps.device)
    power = shells.transform(maps).abs().square()
    return (shells.total(power) / shells.total(torch.ones_like(power)).clamp(min=1)).float()
