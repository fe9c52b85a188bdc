"""Expectation-maximisation over class and pose: what each batch contributes, and what follows from a pass.

The maps, their priors and the two halves are those of ``classify``; what differs is that every particle has a few
poses in every class, found against the map of the class, which weigh by their likelihood: class and pose at once.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from torch import Tensor

from hypermol.conformations import ClassPosterior
from hypermol.engine import Contribution, Draws, State
from hypermol.imaging import spacing_deg
from hypermol.methods import classify_steps, competition
from hypermol.methods.abinitio_steps import MISFIT
from hypermol.methods.classify_images import weight_by_shell
from hypermol.methods.kept import Kept
from hypermol.methods.pose_hypotheses import Find, Found, PoseHypotheses, alike, apart
from hypermol.metrics import fsc
from hypermol.objectives import with_misfit
from hypermol.poses import ScoredImages, SearchLevels, order_for, refine_poses, search_poses
from hypermol.reconstruction import ClassInsertion, first_below, insertion
from hypermol.specs import BuildContext

AGREEMENT, BEYOND, PACE = 0.143, 4, 4
"""As in ``refine_steps``: the band grows beyond what the halves agree on, by so many shells a pass at most."""
SEARCHED = 0.02  # share of the particles that change class in a pass of searches, which are not worth their cost then
SETTLED = 0.01  # share of the particles that change class in a pass which is next to none
HOPELESS = 1e-6  # share of a particle in a class in which its poses are looked for no more
LEAST_SHARE = 0.01  # of a particle: classes and poses that are less likely are left out of the sums
NEAR_DEG_TIMES_SHELLS = 60.0
"""Slices whose angle times their shells is below see the same noise of a map that fills most of the box."""


@dataclasses.dataclass
class Steps:
    """State: that of ``classify_steps`` with one model; columns [2, K], the column of the table in which each class of
    each half is. table: class_rotation [N, K, H, 3, 3], class_shift [N, K, H, 2 or 3] Å, pose_share [N, K, H]: E[a] of
    each class and pose; before them rotation and shift, one pose for all classes. data: band, moved. Classes that
    began with nothing also have a misfit [S] (``competition``): what the maps do not explain yet counts as noise when
    classes and poses are compared.

    ``settings``: a ``ClassifyAbInitio``.
    """

    settings: Any
    context: BuildContext

    def __post_init__(self) -> None:
        self._inner, self._kept = classify_steps.Steps(self.settings, self.context), Kept()

    def search(self, state: State, batch: Any, draws: Draws) -> Contribution:
        """Each half with its own maps, every pose anew in every class; after the first pass in those it may be in."""
        return self._halves(state, batch, self._where_hoped(state, batch, self._anywhere(state)))

    def look(self, state: State, batch: Any) -> Contribution:
        """``estimate`` of particles that have no part in the maps, and no poses: all are searched for."""
        view = State(state.tensors, {}, state.data)
        return self._estimated(*self._inferred(view, batch, torch.zeros_like(batch.half), self._anywhere(state)), batch)

    def _anywhere(self, state: State) -> Find:
        """Poses searched for."""
        band = int(state.data["band"])
        own = self.settings
        levels = SearchLevels.up_to(band, own.shift_range, own.kept, least=2 * own.hypotheses)
        apart_deg = 2 * spacing_deg(levels.last_order)

        def find(images: ScoredImages, rows: Tensor, grid: Tensor, label: int) -> Found:
            found = search_poses(images, grid, levels)
            return _climbed(images, grid, *apart(found, own.hypotheses, apart_deg), band, 1)

        return find

    def climb(self, state: State, batch: Any, draws: Draws) -> Contribution:
        """Each half with its own maps, poses refined where they are."""
        return self._halves(state, batch, self._near(state, batch))

    def climb_all(self, state: State, batch: Any, draws: Draws) -> Contribution:
        """Every particle with the one model, in the band that is known; the sums take every shell."""
        found = self._inferred(state, batch, torch.zeros_like(batch.half), self._near(state, batch))
        return self._sums(state, batch, batch, *found)

    def estimate(self, state: State, batch: Any, draws: Draws) -> Contribution:
        """What each particle is, under the final maps, and where its class is seen from."""
        return self._estimated(
            *self._inferred(state, batch, torch.zeros_like(batch.half), self._near(state, batch)), batch
        )

    def _estimated(self, poses: PoseHypotheses, found: ClassPosterior, batch: Any) -> Contribution:
        share = found.probability.unflatten(1, poses.power.shape[1:])
        label, row = share.sum(2).argmax(1), torch.arange(batch.size)
        best = share[row, label].argmax(1)
        rows = {
            "class_probability": share.sum(2).float(),
            "rotation": poses.rotation[row, label, best],
            "shift": poses.shift_px[row, label, best] * batch.pixel_size,
            "log_likelihood": found.log_evidence.float(),
        }
        if self.settings.contrast:
            rows["contrast"] = found.mean_contrast().float()
        return Contribution(rows=rows, info={"nll": -found.log_evidence.sum()})

    def halves_maps(self, state: State, totals: dict[str, Tensor]) -> State:
        """M-step of each half; the band in which images are compared next, never less: noise would make it swing."""
        found = self._inner.halves_maps(state, totals)
        own, band = found.tensors, int(state.data["band"])
        shares = own["weights"].to(own["difference"])
        maps = own["common"][:, 0] + torch.einsum("hk,hkabc->habc", shares, own["difference"])
        agreed = first_below(fsc(*(maps * own["support"])), AGREEMENT) - 1
        wanted = max(band, min(agreed + BEYOND, band + PACE, self.context.box // 2 - 1))
        settled = bool(found.data["moved"] < SETTLED) and wanted == band
        tensors = {"columns": own["order"]}
        if MISFIT in totals:
            left, weight = totals[MISFIT]
            fresh = (left / weight.clamp(min=1e-30)).clamp(min=0)
            tensors[MISFIT] = torch.where(weight > 0, fresh, state.tensors[MISFIT].to(fresh))
        return _with(found, tensors, {"band": wanted, "settled": settled})

    def searched(self, state: State) -> bool:
        """Whether a search of every pose changes the class of few particles."""
        return bool(state.data["moved"] < SEARCHED)

    def settled(self, state: State) -> bool:
        """Whether particles have all but ceased to change class, and the band to grow."""
        return bool(state.data["settled"])

    def together(self, state: State) -> State:
        """The joint model begins with the mean of the halves'."""
        found = self._inner.together(state)
        return State(found.tensors, state.table, found.data)

    def joint_maps(self, state: State, totals: dict[str, Tensor]) -> State:
        """M-step of all images, under the prior that the halves gave."""
        found = self._inner.joint_maps(state, totals)
        return _with(found, {"columns": found.tensors["order"].repeat(2, 1)}, {})

    def occupied(self, state: State) -> State:
        """Without classes that hold next to no particles in the end."""
        found = self._inner.occupied(state)
        return _with(found, {"columns": found.tensors["order"].repeat(2, 1)}, {})

    def _halves(self, state: State, batch: Any, find: Find) -> Contribution:
        low = batch.limit(int(state.data["band"]))
        found = self._inferred(state, batch, batch.half, find)
        part = self._sums(state, batch, low, *found)
        if "pose_share" in state.table:
            before = self._rows(state, batch, "pose_share").sum(2)
            moved = (part.rows["pose_share"].sum(2) - before).abs().sum().double() / 2
            part.totals["moved"] = torch.stack([moved, moved.new_tensor(float(batch.size))])
        if MISFIT in state.tensors:
            part.totals[MISFIT] = self._unexplained(state, low, *found)
        return part

    def _unexplained(self, state: State, low: Any, poses: PoseHypotheses, found: ClassPosterior) -> Tensor:
        """Sums per shell (``competition.unexplained``) of each particle in its likeliest class, at its likeliest pose
        there."""
        label, pose = competition.best_pose(found.probability.unflatten(1, poses.power.shape[1:]))
        contrast = found.mean_contrast().to(low.ctf)
        sums = torch.zeros(2, self.context.box // 2, dtype=torch.float64, device=low.ctf.device)
        for half, grids in enumerate(self._grids(state)):
            for own, grid in enumerate(grids):
                row = torch.nonzero((low.half == half) & (label == own))[:, 0]
                if len(row):
                    seen = low.take(row)
                    seen = dataclasses.replace(seen, ctf=seen.ctf * contrast[row, None, None])
                    shift = poses.shift_px[row, own, pose[row]] * low.pixel_size
                    shells = competition.unexplained(seen, grid, poses.rotation[row, own, pose[row]], shift)
                    sums[:, : shells.shape[1]] += shells
        return sums

    def _near(self, state: State, batch: Any) -> Find:
        """Poses refined from where they are."""
        band = int(state.data["band"])
        if "class_rotation" in state.table:
            rotation, shift = (self._rows(state, batch, name) for name in ("class_rotation", "class_shift"))
        else:
            classes, count = state.tensors["columns"].shape[1], self.settings.hypotheses
            one = (state.table[name][batch.particle] for name in ("rotation", "shift"))
            rotation, shift = (v[:, None, None].expand(-1, classes, count, *v.shape[1:]) for v in one)

        def find(images: ScoredImages, rows: Tensor, grid: Tensor, label: int) -> Found:
            moved = shift[rows, label] / batch.pixel_size
            return _climbed(images, grid, rotation[rows, label], moved, band, 2)

        return self._where_hoped(state, batch, find)

    def _where_hoped(self, state: State, batch: Any, find: Find) -> Find:
        """``find`` in the classes that a particle may be in by the last pass, in all where it has not been seen yet;
        in others its poses stay."""
        if "pose_share" not in state.table:
            return find
        names = ("pose_share", "class_rotation", "class_shift")
        share, rotation, shift = (self._rows(state, batch, name) for name in names)
        of_class = share.sum(2)
        hoped = (of_class > HOPELESS) | (of_class.sum(1, keepdim=True) <= 0)

        def found(images: ScoredImages, rows: Tensor, grid: Tensor, label: int) -> Found:
            turned, moved = rotation[rows, label].clone(), shift[rows, label] / batch.pixel_size
            value, own = images.log_likelihood(grid, turned, moved)[0], torch.nonzero(hoped[rows, label])[:, 0]
            if len(own):
                better = find(images.take(own), rows[own], grid, label)
                turned[own], moved[own], value[own] = (
                    new.to(old) for new, old in zip(better, (turned, moved, value), strict=True)
                )
            return turned, moved, value

        return found

    def _inferred(self, state: State, batch: Any, which: Tensor, find: Find) -> tuple[PoseHypotheses, ClassPosterior]:
        """Poses of all particles in all classes, and the posterior of both; ``which`` [B]: the model of each."""
        own, band = state.tensors, int(state.data["band"])
        low = batch.limit(band)
        images = ScoredImages.of(with_misfit(low, own[MISFIT]) if MISFIT in own else low)
        poses = PoseHypotheses.found(images, self._grids(state), which, find, spacing_deg(order_for(band)) / 2)
        weights = (own["joint_weights"][None] if "joint_weights" in own else own["weights"])[which]
        variance = float(own["contrast_variance"])
        return poses, poses.posterior(weights, self._own_part(state, batch, images, poses, which), variance)

    def _own_part(self, state: State, batch: Any, images: ScoredImages, poses: PoseHypotheses, which: Tensor) -> Tensor:
        """Of the overlap [B, K, H], what a particle has with its own noise in the maps (``own_overlap``): where it was
        put into the class in the last pass, from nearly the same side."""
        if "variance" not in state.tensors or "pose_share" not in state.table:
            return torch.zeros_like(poses.overlap)
        weight = images.weight.flatten(0, 1)
        told = weight_by_shell(weight, images.lattice).unflatten(0, images.weight.shape[:2]).sum(1)
        known = state.tensors["variance"].double()[which][..., : told.shape[1]]
        before, rotation = (self._rows(state, batch, name) for name in ("pose_share", "class_rotation"))
        near = alike(poses.rotation, rotation, NEAR_DEG_TIMES_SHELLS / int(state.data["band"]))
        share = (near * before[:, :, None]).sum(3).double()
        return 2 * share * torch.einsum("bs,bks->bk", told, known)[..., None]

    def _rows(self, state: State, batch: Any, name: str) -> Tensor:
        """Of the table, per class in their present order."""
        particle = batch.particle.to(batch.half.device)
        return state.table[name][particle[:, None], state.tensors["columns"][batch.half]]

    def _sums(self, state: State, batch: Any, seen: Any, poses: PoseHypotheses, found: ClassPosterior) -> Contribution:
        """Images of ``seen``, the batch up to some shell, into each class at each of their poses."""
        shape = poses.power.shape[1:]
        first, second = (part.unflatten(1, shape) for part in found.moments())
        probability = found.probability.unflatten(1, shape)
        particle, label, pose = torch.nonzero(probability > LEAST_SHARE, as_tuple=True)
        shift = poses.shift_px * batch.pixel_size
        at = {"rotation": poses.rotation[particle, label, pose], "shift": shift[particle, label, pose]}
        used = dataclasses.replace(seen.take(particle), **at)
        owner = torch.nonzero(used.valid)[:, 0]
        chosen = torch.nn.functional.one_hot(label, shape[0])
        parts = ((chosen * part[particle, label, pose][:, None])[owner] for part in (first, second))
        of_class = probability.sum(2)
        halves = 1 if "joint_weights" in state.tensors else 2
        counts = of_class.new_zeros(halves, shape[0]).index_add_(0, batch.half * (halves - 1), of_class)
        totals: dict[str, Any] = {
            "sums": ClassInsertion(insertion(used, self.settings.oversampling), *parts),
            "counts": counts,
        }
        if self.settings.contrast:
            totals["contrast"] = torch.stack([first.sum(), second.sum(), probability.sum()])
        rows = {"class_rotation": poses.rotation, "class_shift": shift, "pose_share": first.float()}
        return Contribution(totals, rows, {"nll": -found.log_evidence.sum()})

    def _grids(self, state: State) -> list[list[Tensor]]:
        """Fourier grids [z, y, x, 1] of the present maps, of each half or of the joint model, class by class."""
        all_of = self._inner.grids(state)

        def one_by_one() -> list[Tensor]:
            return [one.contiguous() for grid in all_of for one in grid.split(1, -1)]

        flat = self._kept.of(all_of[0], one_by_one)
        classes = all_of[0].shape[-1]
        return [flat[start : start + classes] for start in range(0, len(flat), classes)]


def _climbed(images: ScoredImages, grid: Tensor, rotation: Tensor, shift: Tensor, band: int, rounds: int) -> Found:
    """Each of H poses refined."""
    step = spacing_deg(order_for(band)) / 2
    found = [refine_poses(images, grid, rotation[:, h], shift[:, h], step, rounds) for h in range(rotation.shape[1])]
    turned, moved, value = (torch.stack(parts, 1) for parts in zip(*found, strict=True))
    return turned, moved, value


def _with(state: State, tensors: dict[str, Tensor], data: dict[str, Any]) -> State:
    return State({**state.tensors, **tensors}, state.table, {**state.data, **data})
