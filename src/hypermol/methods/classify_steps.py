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
from hypermol.methods.classify_images import coarse, masks, own_overlap
from hypermol.methods.classify_models import (
    Inferred,
    begun_anew,
    inferred,
    matched,
    of_models,
    segments,
    unfitted,
)
from hypermol.methods.kept import Kept
from hypermol.methods.particle_images import Images
from hypermol.metrics import fsc
from hypermol.reconstruction import (
    ClassInsertion,
    ClassSums,
    difference_power,
    first_below,
    power_from_fsc,
)
from hypermol.specs import BuildContext

MARCH = 5  # passes in which the band grows
SETTLED = 0.005  # share of the particles that change class in a pass which is next to none
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
        self._kept = Kept()

    def fit_halves(self, state: State, batch: Any, draws: Draws) -> Contribution:
        """E-step of each half with its own models."""
        images = self.images_of(state, batch)
        found = self.posterior(state, images, images.half, self._own_part(state, batch, images, images.half))
        before = self._share(state, batch, images.half)
        counts = torch.zeros(2, found.probability.shape[1], dtype=torch.float64, device=images.half.device)
        part = self._sums(state, found, images, counts.index_add_(0, images.half, found.probability))
        if before is not None:
            moved = (found.probability * found.contrast - before).abs().sum() / (2 * len(state.data["models"]))
            part.totals["moved"] = torch.stack([moved, moved.new_tensor(float(len(before)))])
        return part

    def fit_all(self, state: State, batch: Any, draws: Draws) -> Contribution:
        """E-step of every particle with the one model, in the band that is known; the sums take every shell."""
        known = self.images_of(state, batch)
        which = torch.zeros_like(known.half)
        found = self.posterior(state, known, which, self._own_part(state, batch, known, which))
        images = Images.of(batch, self.settings.oversampling)
        return self._sums(state, found, images, found.probability.sum(0, keepdim=True))

    def look(self, state: State, batch: Any) -> Contribution:
        """``estimate`` of particles that have no part in the maps."""
        images = self.images_of(state, batch)
        return self._estimated(self.posterior(state, images, torch.zeros_like(images.half)))

    def estimate(self, state: State, batch: Any, draws: Draws) -> Contribution:
        """What each particle is, under the final maps."""
        images = self.images_of(state, batch)
        which = torch.zeros_like(images.half)
        return self._estimated(self.posterior(state, images, which, self._own_part(state, batch, images, which)))

    def _estimated(self, found: Inferred) -> Contribution:
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
        tensors |= self.masks_of(tensors)
        again = [sum(pair) for pair in zip(state.data["reseeded"], self._begun_anew(state, tensors), strict=True)]
        moved = float(totals["moved"][0] / totals["moved"][1]) if "moved" in totals else 1.0
        return self._next(state, tensors, totals, band=self._next_band(state, agreed), reseeded=again, moved=moved)

    def settled(self, state: State) -> bool:
        """Whether particles have all but ceased to change class, and the band to grow."""
        marched = state.data["starting"] or state.clock.pass_index > MARCH + 1
        return marched and state.data["moved"] < SETTLED

    def together(self, state: State) -> State:
        """The joint model begins with the mean of the halves'."""
        own = state.tensors
        joint = {"joint_common": own["common"][:, 0].mean(0), "joint_difference": own["difference"].mean(0)}
        return unfitted(self._next(state, {**joint, "joint_weights": own["weights"].mean(0)}, {}))

    def occupied(self, state: State) -> State:
        """Without classes that hold next to no particles in the end."""
        own = state.tensors
        kept = torch.nonzero(own["joint_weights"] >= min(self.settings.smallest, 0.5 / len(own["joint_weights"])))[:, 0]
        rows = "joint_difference", "joint_weights", "gain_difference", "fsc"
        columns = "difference", "weights", "variance", "order"
        tensors = {name: own[name][kept] for name in rows} | {name: own[name][:, kept] for name in columns}
        emptied = len(own["joint_weights"]) - len(kept)
        return State({**own, **tensors}, state.table, {**state.data, "models": [len(kept)], "emptied": emptied})

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

    def images_of(self, state: State, batch: Any) -> Images:
        """In the box of the present maps, up to the present band."""
        box = state.tensors["mask"].shape[-1]
        return Images.of(coarse(batch.limit(state.data["band"]), box), self.settings.oversampling)

    def _own_part(self, state: State, batch: Any, images: Images, which: Tensor) -> Tensor | None:
        """``own_overlap`` with the present maps; None where they are not yet of this stage."""
        share = self._share(state, batch, which)
        return None if share is None else own_overlap(images, share, state.tensors["variance"].double()[which])

    def _share(self, state: State, batch: Any, which: Tensor) -> Tensor | None:
        """E[a 1(c)] [B, C] of each particle in the last pass."""
        if "variance" not in state.tensors:
            return None
        before = state.table[self._shares(state)][batch.particle.to(which.device)]
        return before.gather(1, state.tensors["order"][which])

    def _shares(self, state: State) -> str:
        stage = "starts" if state.data["starting"] else "together" if "joint_weights" in state.tensors else "classes"
        return f"shares, {stage}"

    def posterior(self, state: State, images: Images, which: Tensor, own_part: Tensor | None = None) -> Inferred:
        """``which`` [B]: the half whose models each particle is held to."""
        weights = state.tensors["joint_weights"][None] if "joint_weights" in state.tensors else state.tensors["weights"]
        power, overlap = images.separate(self.grids(state), which)
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

    def grids(self, state: State) -> list[Tensor]:
        """Fourier grids of the present maps, made once per update: the halves' models, or the joint one."""
        own = state.tensors
        joint = "joint_common" in own
        common, difference = (own[f"joint_{n}"][None] if joint else own[n] for n in ("common", "difference"))

        def grids() -> list[Tensor]:
            repeated = common[:, None] if joint else of_models(common, state.data["models"])
            maps = repeated * own["support"] + difference * own["mask"]
            return [volumes_to_grid(m, self.settings.oversampling) for m in maps]

        return self._kept.of(own["joint_difference" if joint else "difference"], grids)

    def masks_of(self, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        size = self.context.pixel_size * self.context.box / tensors["common"].shape[-1]
        data = tensors["common"], tensors["difference"], tensors["fsc"]
        return masks(*data, size, self.settings.mask, self.context.box)

    def _begun_anew(self, state: State, tensors: dict[str, Tensor]) -> list[int]:
        """Not at the end of a stage, where there is no time to find out what a class becomes."""
        clock, data = state.clock, state.data
        passes = self.settings.start_passes if data["starting"] else self.settings.passes
        if clock.pass_index + 3 > passes:
            return [0] * len(data["models"])
        drawn = generator(self.context.seed, "begun anew", clock.phase, clock.pass_index)
        models = segments(data["models"])
        return begun_anew(tensors["difference"], tensors["weights"], models, self.settings.smallest, drawn)

    def _next_band(self, state: State, agreed: Tensor) -> int:
        """As it is in the coarse box; then to Nyquist in ``MARCH`` passes, or as far as there is something to see."""
        band, last = int(state.data["band"]), self.context.box // 2 - 1
        if state.data["starting"]:
            return band
        left = max(1, MARCH - state.clock.pass_index)
        seen = first_below(agreed, 0.143)
        return max(band, min(band + -(-(last - band) // left), seen - 1 + BEYOND, last))

    def _beyond(self, state: State, power: Tensor) -> Tensor:
        """Shells that have not been looked at are taken to be like the last that has."""
        band = int(state.data["band"])
        power[..., band + 1 :] = power[..., band : band + 1]
        return power.float()

    def _next(self, state: State, tensors: dict[str, Tensor], totals: dict[str, Tensor], **data: Any) -> State:
        if "contrast" in totals:
            first, second, count = totals["contrast"]
            mean = first / count  # the scale of all contrasts is free: the maps take it up
            tensors["contrast_variance"] = (second / count / mean**2 - 1).clamp(min=0).reshape(1)
            for name in ("common", "difference", "joint_common", "joint_difference"):
                if name in tensors:
                    tensors[name] = tensors[name] * mean.to(tensors[name])
        return State(tensors={**state.tensors, **tensors}, data={**state.data, **data})
