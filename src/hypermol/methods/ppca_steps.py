"""The steps of ``ppca``: what each batch contributes, and what follows from the sums of a pass."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from torch import Tensor

from hypermol.conformations import GaussianPosterior, gaussian_posterior, truncated
from hypermol.engine import Contribution, Draws, State
from hypermol.imaging import rebox
from hypermol.kernels import volumes_to_grid
from hypermol.maps import filtered
from hypermol.methods.kept import Kept
from hypermol.methods.masks import first_mask
from hypermol.methods.particle_images import Images, smallest_box
from hypermol.methods.principal_volumes import (
    bend_deposit,
    bend_of,
    estimated,
    in_unit_variance,
    unit_of,
    without_two_states,
)
from hypermol.metrics import fsc, resolution
from hypermol.reconstruction import (
    CURVED,
    LEAST_PARTICLES,
    LinearInsertion,
    LinearSums,
    extended,
    first_below,
    masked_within_gain,
    molecule_mask,
    ordered,
    power_from_fsc,
    profile_volume,
    turned_alike,
    whitened,
)
from hypermol.specs import BuildContext

RANDOM_PASSES = 3  # before the prior is learned: components of random coordinates agree in nothing yet
START_CONTRAST_VARIANCE = 0.02
FAINTEST_GAIN = 0.08
DAMPING = 0.01  # of a half map: of a shell's mean weight, which bounds nearly empty nodes
DEVIATIONS = 3.0  # by how many standard errors a component must raise the held-out likelihood
LOWEST_BAND = 8  # shells: with fewer there is too little of a small box to tell motions apart
EVIDENCE = 10.0  # nats that a component must add in all: one that has died adds next to nothing, but always
BEYOND = 5  # shells beyond those in which the halves agree that are still looked at


@dataclasses.dataclass
class Steps:
    """State: maps [2, C, D, D, D] of the halves, joint [C, D, D, D], power and fsc [C, S], mask; data: band;
    marching, whether it grows (it does where nothing is said); held_out.

    ``settings``: a ``PrincipalVolumes``.
    """

    settings: Any
    context: BuildContext

    def __post_init__(self) -> None:
        self._kept = Kept()

    def initial(self) -> State:
        """No maps yet; the mask is a sphere, or the one given."""
        context, box = self.context, self.context.box
        mask, last = first_mask(self.settings.mask, box), box // 2 - 1
        band = min(last, max(LOWEST_BAND, round(self.settings.march_start * last)))
        data = {"box": box, "pixel_size": context.pixel_size, "points": context.points, "band": band}
        data["marching"] = False
        variance = torch.full((1,), START_CONTRAST_VARIANCE if self.settings.contrast else 0.0, dtype=torch.float64)
        return State(tensors={"mask": mask, "contrast_variance": variance}, data=data)

    def fit_halves(self, state: State, batch: Any, draws: Draws) -> Contribution:
        """E-step of each half with its own model; random coordinates in the first pass."""
        images = self.seen(state, batch)
        if "maps" in state.tensors:
            return self._sums(self.posterior(state, images, images.half), images)
        z = draws.normal("z", self.settings.z_dim, dtype=torch.float64)
        nothing, one = z.new_zeros(len(z)), z.new_ones(len(z))
        known = GaussianPosterior(z, z.new_zeros(*z.shape, z.shape[1]), one, nothing, nothing)
        return self._sums(known, images, learn_contrast=False)

    def fit_all(self, state: State, batch: Any, draws: Draws) -> Contribution:
        """E-step of every particle with the one model."""
        images = self.seen(state, batch)
        return self._sums(self.posterior(state, images, torch.zeros_like(images.half)), images)

    def estimate(self, state: State, batch: Any, draws: Draws) -> Contribution:
        """What each particle is, under the final components; the mean is back projected in every shell."""
        whole = Images.of(batch, self.settings.oversampling)
        images = whole.coarser(state.data["band"])
        found = self.posterior(state, images, torch.zeros_like(images.half))
        contribution = estimated(found, self.settings.contrast)
        contribution.totals.update(bend_deposit(found, images))
        first, second = (part[whole.owner] for part in found.moments())
        contribution.totals["mean"] = LinearInsertion(whole.parts, first[:, :1], second[:, :1, :1])
        return contribution

    def finished(self, state: State, totals: dict[str, Tensor]) -> State:
        """The mean in every shell, with half maps; and the unit of z.

        Inside the band the mean is the one that was solved for together with the components; beyond it, plain.
        """
        box, band, mask = self.context.box, state.data["band"], state.tensors["mask"]
        halves = LinearSums.completed(totals["mean"], box, 1, self.settings.oversampling)
        noise = (halves[0].noise() + halves[1].noise()) / 2
        solved = torch.cat([half.solve(noise / DAMPING) for half in halves])
        curve = fsc(solved[0], solved[1])[None]
        power, joint = power_from_fsc(curve, noise), state.tensors["joint"].clone()
        sums = LinearSums(halves[0].records.add_(halves[1].records), box, 1, self.settings.oversampling)
        within = (torch.arange(box // 2) <= band).double()
        power = torch.maximum(power, FAINTEST_GAIN * sums.noise())  # a map that ends abruptly cannot be masked
        far = filtered(sums.solve(power)[0], profile_volume(1 - within, box))
        gain = power / (power + sums.noise())
        near = filtered(state.tensors["centre"], profile_volume(within, box))
        joint[0] = masked_within_gain(near + far, gain[0], mask, FAINTEST_GAIN)
        bend = bend_of(totals, state.tensors, smallest_box(band, box), self.settings.oversampling)
        enough = self.settings.maps_by == "regression" and len(state.table["log_likelihood"]) >= LEAST_PARTICLES
        joint, table = in_unit_variance(joint, state.table, totals["power of z"], enough)
        if bend is not None and bend > CURVED:
            table = without_two_states(table)
        curves = torch.cat([curve.to(state.tensors["fsc"]), state.tensors["fsc"][1:]])
        unit = unit_of(totals["power of z"], state.table)
        tensors = {"joint": joint, "half_means": solved, "fsc": curves, "unit": unit}
        return State(tensors={**state.tensors, **tensors}, table=table, data={**state.data, "bend": bend})

    def held_out(self, state: State, batch: Any, draws: Draws) -> Contribution:
        """How much each further component adds to the log-likelihood of images that its model never saw."""
        images = self.seen(state, batch)
        gram, projection = images.moments(self.grids(state), 1 - images.half)
        variance, counts = float(state.tensors["contrast_variance"]), range(gram.shape[1])
        found = [gaussian_posterior(*truncated(gram, projection, k), variance).log_evidence for k in counts]
        steps = torch.stack(found).diff(dim=0)
        totals = torch.stack([steps.sum(1), steps.square().sum(1), torch.full_like(steps[:, 0], steps.shape[1])])
        return Contribution({"steps": totals}, info={"nll": -found[-1].sum()})

    def halves_maps(self, state: State, totals: dict[str, Tensor]) -> State:
        """M-step of each half; both brought to one gauge; the prior that their agreement gives; the next band."""
        channels, band = totals["moments"].shape[-1], state.data["band"]
        box, coarse = self.context.box, smallest_box(band, self.context.box)
        sums = LinearSums.completed(totals["sums"], coarse, channels, self.settings.oversampling)
        noise = extended((sums[0].noise() + sums[1].noise()) / 2, box // 2)
        power = state.tensors["power"].double() if "power" in state.tensors else 3 * noise
        solved = [rebox(half.solve(power[:, : coarse // 2], band), box) for half in sums]
        fresh = [whitened(maps, moment[0], moment) for maps, moment in zip(solved, totals["moments"], strict=True)]
        first, second = turned_alike(fresh[0], fresh[1], state.tensors["mask"])
        maps, tensors = torch.stack([first, second]), dict(state.tensors)
        if "power" in state.tensors or state.clock.updates + 1 >= min(RANDOM_PASSES, self.settings.passes):
            curves = fsc(first, second)
            power = power_from_fsc(curves, noise)
            power[:, band + 1 :] = power[:, band : band + 1]  # shells not yet looked at
            curves[:, band + 1 :] = 0
            mask = self._mask(state, maps.mean(0), curves)
            # maps are masked before they are used, which leaves of their noise only the mask's share of the box
            tensors |= {"fsc": curves, "power": (power / mask.square().mean()).float(), "mask": mask}
        tensors["maps"] = maps * tensors["mask"]
        return self._next(state, tensors, totals, band=self._next_band(state, tensors))

    def promising(self, state: State, totals: dict[str, Tensor]) -> State:
        """Go on with the components that the other half's images confirm in the low band, and one more."""
        kept, data = self._confirmed(totals)
        wanted = min(kept + 1, self.settings.z_dim) if self.settings.choose else self.settings.z_dim
        return self._next(state, _first_channels(state, wanted + 1), {}, **data, marching=True)

    def confirmed(self, state: State, totals: dict[str, Tensor]) -> State:
        """Keep the components that the other half's images confirm; the joint model begins with the halves' mean."""
        kept, data = self._confirmed(totals)
        channels = 1 + (kept if self.settings.choose else len(data["held_out"]))
        tensors = _first_channels(state, channels)
        return self._next(state, {**tensors, "joint": tensors["maps"].mean(0)}, {}, **data)

    def joint_maps(self, state: State, totals: dict[str, Tensor]) -> State:
        """M-step of all images, under the prior that the halves gave."""
        box, channels, mask = self.context.box, totals["moments"].shape[-1], state.tensors["mask"]
        coarse, band = smallest_box(state.data["band"], box), state.data["band"]
        halves = LinearSums.completed(totals["sums"], coarse, channels, self.settings.oversampling)
        sums = LinearSums(halves[0].records.add_(halves[1].records), coarse, channels, self.settings.oversampling)
        moment, power = totals["moments"].sum(0), state.tensors["power"].double()
        solved = rebox(sums.solve(power[:, : coarse // 2], band), box)
        maps = ordered(whitened(solved, moment[0], moment))
        gain = power / (power + extended(sums.noise(), box // 2))
        pairs = zip(maps, gain, strict=True)
        joint = torch.stack([masked_within_gain(map_, row, mask, FAINTEST_GAIN) for map_, row in pairs])
        return self._next(state, {"joint": joint, "centre": maps[0]}, totals)

    def _mask(self, state: State, maps: Tensor, curves: Tensor) -> Tensor:
        """Around all that is there and all that moves."""
        if self.settings.mask != "auto":
            return state.tensors["mask"]
        density = maps[0].clamp(min=0) + maps[1:].square().sum(0).sqrt()
        return molecule_mask(density, self.context.pixel_size, resolution(curves[0], self.context.pixel_size))[0]

    def _next_band(self, state: State, tensors: dict[str, Tensor]) -> int:
        """As it is, until the phase in which it grows: to Nyquist by its last pass but one, or as far as the halves
        agree on a component. Beyond that images say nothing of z."""
        band, last = int(state.data["band"]), self.context.box // 2 - 1
        if not state.data.get("marching", True):
            return band
        left = max(1, self.settings.march_passes - 2 - state.clock.pass_index)
        agreed = max((first_below(curve, 0.143) for curve in tensors["fsc"][1:]), default=0)
        return max(band, min(band + -(-(last - band) // left), agreed - 1 + BEYOND, last))

    def _confirmed(self, totals: dict[str, Tensor]) -> tuple[int, dict[str, Any]]:
        total, squares, count = totals["steps"].double()
        mean = total / count
        error = ((squares / count - mean**2).clamp(min=0) / count).sqrt()
        found = torch.nonzero((mean > DEVIATIONS * error) & (total > EVIDENCE))[:, 0]
        rows = [[float(m), float(e)] for m, e in zip(mean, error, strict=True)]
        return (int(found[-1]) + 1 if len(found) else 0), {"held_out": rows}

    def _next(self, state: State, tensors: dict[str, Tensor], totals: dict[str, Tensor], **data: Any) -> State:
        if "contrast" in totals and "power" in state.tensors:
            first, second, count = totals["contrast"]
            mean = first / count  # the scale of all contrasts is free: the maps take it up
            tensors["contrast_variance"] = (second / count / mean**2 - 1).clamp(min=0).reshape(1)
            tensors |= {
                name: tensors[name] * mean.to(tensors[name]) for name in ("maps", "joint", "centre") if name in tensors
            }
        return State(tensors={**state.tensors, **tensors}, data={**state.data, **data})

    def posterior(self, state: State, images: Images, model: Tensor) -> GaussianPosterior:
        statistics = images.moments(self.grids(state), model)
        return gaussian_posterior(*statistics, float(state.tensors["contrast_variance"]))

    def _sums(self, posterior: GaussianPosterior, images: Images, learn_contrast: bool = True) -> Contribution:
        first, second = posterior.moments()
        squared = posterior.contrast**2 + posterior.contrast_variance
        moments = torch.zeros(2, *second.shape[1:], dtype=torch.float64, device=second.device)
        moments.index_add_(0, images.half, second / squared[:, None, None])
        deposit = LinearInsertion(images.parts, first[images.owner], second[images.owner])
        totals: dict[str, Any] = {"sums": deposit, "moments": moments}
        if self.settings.contrast and learn_contrast:
            contrast = posterior.contrast
            totals["contrast"] = torch.stack([contrast.sum(), squared.sum(), contrast.new_tensor(float(len(contrast)))])
        return Contribution(totals, info={"nll": -posterior.log_evidence.sum()})

    def grids(self, state: State) -> list[Tensor]:
        """Fourier grids of the present maps, made once per update: the halves' models, or the joint one."""
        maps = state.tensors["joint"] if "joint" in state.tensors else state.tensors["maps"]
        models = [maps] if "joint" in state.tensors else list(maps)
        box, oversampling = smallest_box(state.data["band"], self.context.box), self.settings.oversampling
        return self._kept.of(maps, lambda: [volumes_to_grid(rebox(m, box), oversampling) for m in models])

    def seen(self, state: State, batch: Any) -> Images:
        """The images up to the present band."""
        band = state.data["band"]
        return Images.of(batch.limit(band), self.settings.oversampling).coarser(band)


def _first_channels(state: State, channels: int) -> dict[str, Tensor]:
    tensors = {name: state.tensors[name][:channels].contiguous() for name in ("power", "fsc")}
    return {**tensors, "maps": state.tensors["maps"][:, :channels].contiguous()}
