"""The steps of ``classify``: what each batch contributes, and what follows from the sums of a pass.

Several models are carried side by side: the maps of all of them are channels of one grid, so that one walk over an
image's points serves them all.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from torch import Tensor

from hypermol.engine import Contribution, Draws, State, generator
from hypermol.kernels import volumes_to_grid
from hypermol.maps import soft_sphere
from hypermol.methods.classify_images import Images, coarse, given_mask, own_overlap, resized, statistics
from hypermol.methods.classify_models import (
    Inferred,
    begun_anew,
    chosen,
    extended,
    inferred,
    matched,
    of_models,
    segments,
)
from hypermol.metrics import fsc, resolution
from hypermol.reconstruction import (
    ClassInsertion,
    ClassSums,
    difference_power,
    molecule_mask,
    power_from_fsc,
)
from hypermol.specs import BuildContext

BEYOND = 3  # shells beyond those in which the halves agree that are still looked at


@dataclasses.dataclass
class Steps:
    """State: common [2, M, D, D, D] and difference [2, C, D, D, D] of M models with C maps in all, for each half;
    weights [2, C]; variance [2, C, S] of class maps, and order [2, C], the column of ``shares`` that each class had in
    the last pass; power_common [S], power_difference [M, S]; support and mask, outside of which maps are 0 and do not
    differ; fsc [C, S] between the halves; later joint_common [D, D, D], joint_difference [K, D, D, D], joint_weights
    [K]. data: models (classes of each), starting (in the coarse
    box), band, tried and held_out (gains of further classes), reseeded.

    ``settings``: a ``Classes``.
    """

    settings: Any
    context: BuildContext

    def __post_init__(self) -> None:
        self._sliced: tuple[Tensor | None, list[Tensor]] = None, []

    def fit_halves(self, state: State, batch: Any, draws: Draws) -> Contribution:
        """E-step of each half with its own models."""
        images = self._images(state, batch)
        found = self._inferred(state, images, images.half, self._own_part(state, batch, images, images.half))
        counts = torch.zeros(2, found.probability.shape[1], dtype=torch.float64, device=images.half.device)
        return self._sums(state, found, images, counts.index_add_(0, images.half, found.probability))

    def fit_all(self, state: State, batch: Any, draws: Draws) -> Contribution:
        """E-step of every particle with the one model, in the band that is known; the sums take every shell."""
        known = self._images(state, batch)
        which = torch.zeros_like(known.half)
        found = self._inferred(state, known, which, self._own_part(state, batch, known, which))
        images = Images.of(batch, self.settings.oversampling)
        return self._sums(state, found, images, found.probability.sum(0, keepdim=True))

    def held_out(self, state: State, batch: Any, draws: Draws) -> Contribution:
        """Log-likelihood of each particle under each model of the half that it is not in."""
        images = self._images(state, batch)
        found = self._inferred(state, images, 1 - images.half)
        return Contribution(
            rows={self._held_out_rows(state): found.log_evidence}, info={"nll": -found.log_evidence[:, 0].sum()}
        )

    def estimate(self, state: State, batch: Any, draws: Draws) -> Contribution:
        """What each particle is, under the final maps."""
        images = self._images(state, batch)
        which = torch.zeros_like(images.half)
        found = self._inferred(state, images, which, self._own_part(state, batch, images, which))
        rows = {"log_likelihood": found.log_evidence[:, 0].float(), "class_probability": found.probability.float()}
        if self.settings.contrast:
            rows["contrast"] = (found.probability * found.contrast).sum(1).float()
        return Contribution(rows=rows, info={"nll": -found.log_evidence[:, 0].sum()})

    def halves_maps(self, state: State, totals: dict[str, Tensor]) -> State:
        """M-step of each half; classes matched between them; the prior that their agreement gives; the next band."""
        old, models = state.tensors, segments(state.data["models"])
        box, (prior, steps) = old["mask"].shape[-1], self._priors(state)
        sums = ClassSums.completed(totals["sums"], box, self.settings.oversampling)
        weights = totals["counts"] / totals["counts"].sum(1, keepdim=True)
        orders = torch.arange(weights.shape[1], device=weights.device).repeat(2, 1)
        common, difference, powers, curves, variances = [], [], [], [], []
        for model, (start, stop) in enumerate(models):
            parts = [half.of(start, stop) for half in sums]
            (mean, one), (other, two) = (part.solve(prior, steps[model]) for part in parts)
            order = matched(one, two, old["mask"])
            orders[1, start:stop] = start + order
            two, weights[1, start:stop] = two[order], weights[1, start:stop][order]
            noises = torch.stack([parts[0].noise(), parts[1].noise()[order]])
            noise = noises.mean(0)
            variances.append(self._variance(state, noises, prior, steps[model]))
            common.append(torch.stack([mean, other]))
            difference.append(torch.stack([one, two]))
            curves.append(fsc(mean + one, other + two))
            powers.append(difference_power(fsc(one, two), noise, steps[model]))
            if start == 0:  # the consensus is the same for all models
                shares = weights[:, :stop].to(one)
                consensus = mean + torch.tensordot(shares[0], one, 1), other + torch.tensordot(shares[1], two, 1)
                agreed = fsc(*consensus)
                shared = power_from_fsc(agreed[None], 1 / (1 / noise).sum(0, keepdim=True))[0]
        tensors = {
            "common": torch.stack(common, 1),
            "difference": torch.cat(difference, 1),
            "weights": weights,
            "power_common": self._beyond(state, shared),
            "power_difference": self._beyond(state, torch.stack(powers)),
            "fsc": torch.cat(curves),
            "variance": torch.cat(variances, 1).float(),
            "order": orders,
        }
        tensors |= self._masks(tensors["common"], tensors["difference"], tensors["fsc"])
        again = [sum(pair) for pair in zip(state.data["reseeded"], self._begun_anew(state, tensors), strict=True)]
        return self._next(state, tensors, totals, band=self._next_band(state, agreed), reseeded=again)

    def promising(self, state: State, totals: dict[str, Tensor]) -> State:
        """Go on, in the whole box, with one class, with as many as the other half's images confirm, and with the next
        larger number."""
        best, kept, rows = chosen(state.data["models"], state.table[self._held_out_rows(state)])
        numbers = sorted(best)
        following = [k for k in numbers if k > kept][:1]
        wanted = sorted({1, kept, *following} & set(numbers)) if self.settings.choose else [self.settings.classes]
        return self._with_models(state, [best[k] for k in wanted], {"tried": rows, "starting": False})

    def confirmed(self, state: State, totals: dict[str, Tensor]) -> State:
        """Keep as many classes as the other half's images confirm."""
        best, kept, rows = chosen(state.data["models"], state.table[self._held_out_rows(state)])
        return self._with_models(state, [best[kept]], {"held_out": rows})

    def together(self, state: State) -> State:
        """The joint model begins with the mean of the halves'."""
        own = state.tensors
        joint = {"joint_common": own["common"][:, 0].mean(0), "joint_difference": own["difference"].mean(0)}
        return _unfitted(self._next(state, {**joint, "joint_weights": own["weights"].mean(0)}, {}))

    def joint_maps(self, state: State, totals: dict[str, Tensor]) -> State:
        """M-step of all images, under the prior that the halves gave."""
        box = self.context.box
        halves = ClassSums.completed(totals["sums"], box, self.settings.oversampling)
        sums = halves[0].plus(halves[1])
        prior, steps = self._priors(state)
        common, difference = sums.solve(prior, steps[0])
        noise = sums.noise()
        tensors = {
            "joint_common": common,
            "joint_difference": difference,
            "joint_weights": totals["counts"][0] / totals["counts"].sum(),
            "gain_common": prior / (prior + 1 / (1 / noise).sum(0)),
            "gain_difference": steps[0] / (steps[0] + noise),
            "variance": self._variance(state, noise[None], prior, steps[0]).float(),
            "order": torch.arange(len(noise), device=noise.device)[None],
        }
        return self._next(state, tensors, totals)

    def _priors(self, state: State) -> tuple[Tensor, Tensor]:
        """Power of the common map [S] and of differences [M, S] where they may be: a map that is 0 outside of a mask
        has its power inside, and noise outside is cut off."""
        own = state.tensors
        shares = [own[name].double().square().mean() for name in ("support", "mask")]
        return own["power_common"].double() / shares[0], own["power_difference"].double() / shares[1]

    def _variance(self, state: State, noise: Tensor, prior: Tensor, steps: Tensor) -> Tensor:
        """Posterior variance [h, K, S] of class maps inside their mask."""
        power = prior if noise.shape[1] == 1 else steps
        return state.tensors["mask"].double().square().mean() / (1 / noise + 1 / power.clamp(min=1e-30))

    def _images(self, state: State, batch: Any) -> Images:
        """In the box of the present maps, up to the present band."""
        box = state.tensors["mask"].shape[-1]
        return Images.of(coarse(batch.limit(state.data["band"]), box), self.settings.oversampling)

    def _own_part(self, state: State, batch: Any, images: Images, which: Tensor) -> Tensor | None:
        """``own_overlap`` with the present maps; None where they are not yet of this stage."""
        own = state.tensors
        if "variance" not in own:
            return None
        share = state.table[self._shares(state)][batch.particle.to(which.device)].gather(1, own["order"][which])
        return own_overlap(images, share, own["variance"].double()[which])

    def _shares(self, state: State) -> str:
        stage = "starts" if state.data["starting"] else "together" if "joint_weights" in state.tensors else "classes"
        return f"shares, {stage}"

    def _inferred(self, state: State, images: Images, which: Tensor, own_part: Tensor | None = None) -> Inferred:
        """``which`` [B]: the half whose models each particle is held to."""
        weights = state.tensors["joint_weights"][None] if "joint_weights" in state.tensors else state.tensors["weights"]
        power, overlap = statistics(self._grids(state), images, which)
        if own_part is not None:
            overlap = overlap - own_part
        variance = float(state.tensors["contrast_variance"])
        return inferred(power, overlap, weights[which], segments(state.data["models"]), variance)

    def _sums(self, state: State, found: Inferred, images: Images, counts: Tensor) -> Contribution:
        squared = found.probability * (found.contrast**2 + found.contrast_variance)
        first = found.probability * found.contrast
        totals: dict[str, Any] = {
            "sums": ClassInsertion(images.parts, first[images.owner], squared[images.owner]),
            "counts": counts,
        }
        if self.settings.contrast:
            totals["contrast"] = torch.stack([first.sum(), squared.sum(), found.probability.sum()])
        return Contribution(totals, {self._shares(state): first}, {"nll": -found.log_evidence[:, -1].sum()})

    def _grids(self, state: State) -> list[Tensor]:
        """Fourier grids of the present maps, made once per update: the halves' models, or the joint one."""
        own = state.tensors
        joint = "joint_common" in own
        common, difference = (own[f"joint_{n}"][None] if joint else own[n] for n in ("common", "difference"))
        if self._sliced[0] is not difference:
            repeated = common[:, None] if joint else of_models(common, state.data["models"])
            maps = repeated * own["support"] + difference * own["mask"]
            self._sliced = difference, [volumes_to_grid(m, self.settings.oversampling) for m in maps]
        return self._sliced[1]

    def _masks(self, common: Tensor, difference: Tensor, curves: Tensor) -> dict[str, Tensor]:
        """Around all that is there and all in which classes differ, or as they were told."""
        box, given = common.shape[-1], self.settings.mask
        size = self.context.pixel_size * self.context.box / box
        if given == "sphere":
            support = soft_sphere(box, 0.42 * box, 0.06 * box).to(common)
        else:
            density = common.mean((0, 1)).clamp(min=0) + difference.mean(0).square().mean(0).sqrt()
            support = molecule_mask(density, size, resolution(curves.mean(0), size))[0]
        if given in ("auto", "sphere"):
            return {"support": support, "mask": support}
        return {"support": support, "mask": given_mask(given, self.context.box, box).to(common)}

    def _begun_anew(self, state: State, tensors: dict[str, Tensor]) -> list[int]:
        """Not at the end of a stage, where there is no time to find out what a class becomes."""
        clock, data = state.clock, state.data
        passes = self.settings.start_passes if data["starting"] else self.settings.passes
        if clock.pass_index + 3 > passes:
            return [0] * len(data["models"])
        drawn = generator(self.context.seed, "begun anew", clock.phase, clock.pass_index)
        models = segments(data["models"])
        return begun_anew(tensors["difference"], tensors["weights"], models, self.settings.smallest, drawn)

    def _held_out_rows(self, state: State) -> str:
        return "held out, starts" if state.data["starting"] else "held out"

    def _next_band(self, state: State, agreed: Tensor) -> int:
        """As it is in the coarse box; then to Nyquist by the last pass but two, or as far as there is something to
        see."""
        band, last = int(state.data["band"]), self.context.box // 2 - 1
        if state.data["starting"]:
            return band
        left = max(1, self.settings.passes - 3 - state.clock.pass_index)
        seen = int((agreed > 0.143).int().cumprod(0).sum())
        return max(band, min(band + -(-(last - band) // left), seen - 1 + BEYOND, last))

    def _beyond(self, state: State, power: Tensor) -> Tensor:
        """Shells that have not been looked at are taken to be like the last that has."""
        band = int(state.data["band"])
        power[..., band + 1 :] = power[..., band : band + 1]
        return power.float()

    def _with_models(self, state: State, kept: list[int], data: dict[str, Any]) -> State:
        """These models alone, in the whole box."""
        own, box = state.tensors, self.context.box
        places = [segments(state.data["models"])[m] for m in kept]
        channels = torch.cat([torch.arange(*place) for place in places]).to(own["weights"].device)
        tensors = {
            "common": resized(own["common"][:, kept], box),
            "difference": resized(own["difference"][:, channels], box),
            "weights": own["weights"][:, channels].contiguous(),
            "power_common": extended(own["power_common"], box // 2),
            "power_difference": extended(own["power_difference"][kept], box // 2),
            "fsc": extended(own["fsc"][channels], box // 2, 0.0),
        }
        if state.data["starting"]:
            tensors |= self._masks(tensors["common"], tensors["difference"], tensors["fsc"])
        for name in ("models", "reseeded"):
            data[name] = [state.data[name][m] for m in kept]
        return _unfitted(self._next(state, tensors, {}, **data))

    def _next(self, state: State, tensors: dict[str, Tensor], totals: dict[str, Tensor], **data: Any) -> State:
        if "contrast" in totals:
            first, second, count = totals["contrast"]
            mean = first / count  # the scale of all contrasts is free: the maps take it up
            tensors["contrast_variance"] = (second / count / mean**2 - 1).clamp(min=0).reshape(1)
            for name in ("common", "difference", "joint_common", "joint_difference"):
                if name in tensors:
                    tensors[name] = tensors[name] * mean.to(tensors[name])
        return State(tensors={**state.tensors, **tensors}, data={**state.data, **data})


def _unfitted(state: State) -> State:
    """Maps that are not those of the last pass over the particles: nobody's share in them is known."""
    state.tensors = {name: tensor for name, tensor in state.tensors.items() if name not in ("variance", "order")}
    return state
