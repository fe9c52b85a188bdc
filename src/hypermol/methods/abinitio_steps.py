"""The steps of ab initio: maps grown from random poses on half set 1, and the choice among starts by half set 2.

A start holds one map, or one per class; an image counts for every class and every pose that it may belong to.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from torch import Tensor

from hypermol.engine import Contribution, Draws, State
from hypermol.imaging import quaternion_to_matrix, rebox
from hypermol.kernels import volume_to_grid
from hypermol.maps import other_hand, soft_sphere
from hypermol.methods import competition
from hypermol.methods.kept import Kept
from hypermol.methods.particle_images import smallest_box
from hypermol.objectives import all_signal, with_misfit
from hypermol.poses import Candidates, ScoredImages, SearchLevels, order_for, search_poses
from hypermol.reconstruction import ClassInsertion, LinearSums, insertion
from hypermol.specs import BuildContext

FIRST_ORDER = 2
FIRST_BAND = 6
JUDGED = 2000  # particles, of both halves, by which the starts are told apart
FOUND, MISFIT = "found-", "misfit"
LEAST_SHARE = 0.01  # of an image: poses and classes that are less likely are left out of the sums
BELOW = "below"


@dataclasses.dataclass
class Steps:
    """State: maps [K, b, b, b] of the present start, in a box as small as its band allows; sums, what they are solved
    from; found-0 …: the maps of the starts that are over; data: band. Of several classes also misfit [S] and
    head_start [K] (``competition``), and in the table below [N, K], log-likelihood of each particle's best pose in each
    class beside that in its best class when it was last looked at, 0 where it never was. ``settings``: an ``AbInitio``,
    or what has its fields; ``classes``: K."""

    settings: Any
    context: BuildContext
    classes: int = 1

    def __post_init__(self) -> None:
        self._kept = Kept()

    @property
    def judged(self) -> int:
        """Particles that the choice looks at."""
        return min(JUDGED, self.context.count)

    def initial(self) -> State:
        """No map yet."""
        context = self.context
        return State(data={"box": context.box, "pixel_size": context.pixel_size, "points": context.points})

    def anew(self, state: State, number: int) -> State:
        """Start ``number``, from nothing; the maps of the one before are kept."""
        tensors = self._with_found(state, number - 1)
        table = {name: torch.zeros_like(rows) if name == BELOW else rows for name, rows in state.table.items()}
        return State(tensors, table, {**state.data, "band": self._band(self.settings.first_shells)})

    def sharper(self, state: State) -> State:
        """More shells: sums begin again, on a finer grid."""
        band, box = self._band(self.settings.last_shells), self.context.box
        tensors = {name: tensor for name, tensor in state.tensors.items() if name != "sums"}
        tensors["maps"] = rebox(tensors["maps"], smallest_box(band, box))
        return State(tensors, state.table, {**state.data, "band": band})

    def gathered(self, state: State) -> State:
        """The maps of all starts."""
        return State(self._with_found(state, self.settings.starts - 1), state.table, state.data)

    def scatter(self, state: State, batch: Any, draws: Draws) -> Contribution:
        """Images of half set 1 at random poses, each in a random class."""
        rows = torch.nonzero(batch.half == 0)[:, 0]
        rotation = quaternion_to_matrix(draws.normal("rotation", 4))[rows]
        label = (draws.uniform("class") * self.classes).long().clamp(max=self.classes - 1)[rows]
        share = torch.nn.functional.one_hot(label, self.classes).to(rotation)
        used = self._compared(state, batch.take(rows))
        return self._inserted(state, used, rotation, rotation.new_zeros(len(rows), 2), share)

    def climb(
        self,
        state: State,
        batch: Any,
        draws: Draws,
        last: int | None = None,
        equally: bool = False,
        classes: int | None = None,
    ) -> Contribution:
        """Images of half set 1 where the present maps say that they look from, in every class by its share. ``last``:
        order of the finest grid of rotations; ``equally``: classes have head starts that give each as many images;
        ``classes``: only so many are tried, those in which an image was likeliest when it was last looked at."""
        rows = torch.nonzero(batch.half == 0)[:, 0]
        seen = batch.take(rows)
        used = self._compared(state, seen)
        before = self._below(state, used)
        hoped = _likeliest(before, classes)
        rotation, shift_px, likely = self._in_classes(state, used, last, hoped)
        value = likely
        if equally and "head_start" in state.tensors:
            value = value + state.tensors["head_start"].to(value)[:, None]
        share = value.flatten(1).softmax(1).unflatten(1, value.shape[1:]).float()
        image, label, pose = torch.nonzero(share > LEAST_SHARE, as_tuple=True)
        turned, moved = rotation[image, label, pose], shift_px[image, label, pose] * self._pixel_size(state)
        own = torch.nn.functional.one_hot(label, self.classes) * share[image, label, pose][:, None]
        contribution = self._inserted(state, used.take(image), turned, moved, own)
        if self.classes > 1:
            contribution.totals[MISFIT] = self._unexplained(state, seen, rotation, shift_px, value)
            below = torch.where(hoped, likely.amax(2) - likely.flatten(1).amax(1, keepdim=True), before)
            contribution.rows[BELOW] = before.new_zeros(batch.size, self.classes).index_copy(0, rows, below.to(before))
            if equally:
                contribution.totals["chosen"] = competition.chosen(likely.amax(2), share.sum(2))
        nats = likely.flatten(1).logsumexp(1).sum()
        # particles of the other half count as well: sums are turned into means over the batch
        return dataclasses.replace(contribution, info={"nll": -nats * (batch.size / max(1, used.size))})

    def moved(self, state: State, totals: dict[str, Tensor]) -> State:
        """The maps of sums that forget: a step of stochastic gradient, scaled by the data's own curvature."""
        band, fresh = int(state.data["band"]), totals["sums"]
        old = state.tensors.get("sums")
        sums = fresh if old is None else old * (1 - self.settings.step) + fresh
        box = fresh.shape[1] // 2
        power = self.context.signal_amplitude.double().square()[None, : box // 2].to(sums.device)
        mask = soft_sphere(box, 3 * box / 8, box / 10).to(sums.device)
        maps = torch.stack([part.solve(power, band)[0] * mask for part in _of_classes(sums[0], box, self.classes)])
        learned: dict[str, Tensor] = {}
        if MISFIT in totals:
            learned[MISFIT] = competition.learned_misfit(self._misfit(state), totals[MISFIT])
        if "chosen" in totals:
            before = state.tensors.get("head_start", totals["chosen"].new_zeros(self.classes))
            learned["head_start"] = competition.learned_head_start(before, totals["chosen"])
        return State({**state.tensors, **learned, "sums": sums, "maps": maps}, state.table, state.data)

    def judge(self, state: State, batch: Any, draws: Draws) -> Contribution:
        """Log-likelihood of images of half set 2, each at its best poses, under the maps of each start and under their
        mirror images, which only images of one particle at several tilts tell apart."""
        unseen = batch.take(torch.nonzero(batch.half == 1)[:, 0])
        maps = [state.tensors[f"{FOUND}{number}"] for number in range(self.settings.starts)]
        tilted = ScoredImages.of(unseen).tells_hand
        values = [self._likelihood(state, unseen, own) for own in maps]
        mirrored = [self._likelihood(state, unseen, _mirrored(own)) for own in maps] if tilted else values
        count = values[0].new_tensor([float(unseen.size), float(tilted)])
        return Contribution({"likelihood": torch.cat([torch.stack([*values, *mirrored]), count])})

    def chosen(self, state: State, totals: dict[str, Tensor]) -> tuple[State, Tensor]:
        """A state with the maps of the start under which half set 2 is most likely, and those maps, [K, D, D, D]; in
        the other hand where the tilts say so. Of several classes it holds what these leave unexplained."""
        *found, count, tilted = totals["likelihood"].tolist()
        starts = len(found) // 2
        values = [max(pair) for pair in zip(found[:starts], found[starts:], strict=True)]
        best = max(range(starts), key=values.__getitem__)
        lead = [f"{(value - values[best]) / max(count, 1):.2f}" for value in values]
        words = [
            f"start {best + 1} of {starts} was chosen: half set 2 is most likely under what it found "
            f"(nats per particle beside it: {', '.join(lead)})"
        ]
        maps = state.tensors[f"{FOUND}{best}"]
        if tilted:
            more = (found[best] - found[starts + best]) / max(count, 1)
            maps = maps if more >= 0 else _mirrored(maps)
            words.append(f"the hand is that of the tilts: {abs(more):.2f} nats per particle beside its mirror image")
        left = {MISFIT: state.tensors[f"{FOUND}{MISFIT}-{best}"]} if f"{FOUND}{MISFIT}-{best}" in state.tensors else {}
        data = {**state.data, "notes": words, "hand_known": bool(tilted)}
        return State(left, {}, data), rebox(maps, self.context.box)

    def _likelihood(self, state: State, batch: Any, maps: Tensor) -> Tensor:
        """Of images at their best poses, any class."""
        found = [self._searched(state, batch, volume_to_grid(map_)).log_likelihood for map_ in maps]
        return torch.stack(found, 1).flatten(1).logsumexp(1).double().sum()

    def _inserted(self, state: State, batch: Any, rotation: Tensor, shift: Tensor, share: Tensor) -> Contribution:
        band = int(state.data["band"])
        placed = dataclasses.replace(batch, rotation=rotation, shift=shift).limit(band)
        images = insertion(placed).coarser(band, smallest_box(band, self.context.box))
        owner = torch.nonzero(batch.valid)[:, 0]
        return Contribution({"sums": ClassInsertion(images, share[owner], share[owner])})

    def _compared(self, state: State, batch: Any) -> Any:
        """The images as several classes compete for them: what these cannot explain yet is noise. One has no rival."""
        band = int(state.data["band"])
        return with_misfit(batch.limit(band), self._misfit(state)) if self.classes > 1 else batch

    def _misfit(self, state: State) -> Tensor:
        """[band + 1], float64; before there is a map, all that images show."""
        return state.tensors.get(MISFIT, all_signal(self.context)[: int(state.data["band"]) + 1])

    def _unexplained(self, state: State, batch: Any, rotation: Tensor, shift_px: Tensor, value: Tensor) -> Tensor:
        band, box = int(state.data["band"]), state.tensors["maps"].shape[-1]
        low = batch.limit(band)
        low = dataclasses.replace(low, lattice=low.lattice.in_box(box), pixel_size=self._pixel_size(state))
        label, pose = competition.best_pose(value)
        sums = self._misfit(state).new_zeros(2, band + 1)
        for own, grid in enumerate(self._grids(state)):
            row = torch.nonzero(label == own)[:, 0]
            if len(row):
                turned, moved = rotation[row, own, pose[row]], shift_px[row, own, pose[row]]
                sums += competition.unexplained(low.take(row), grid, turned, moved * self._pixel_size(state))
        return sums

    def _below(self, state: State, batch: Any) -> Tensor:
        """The table's own of these particles; zeros where there is none yet."""
        if BELOW not in state.table:
            return batch.ctf.new_zeros(batch.size, self.classes)
        return state.table[BELOW][batch.particle].to(batch.ctf)

    def _in_classes(self, state: State, batch: Any, last: int | None, hoped: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Likeliest poses of images in every class that they are compared with: rotation [B, K, H, 3, 3], shift [B, K,
        H, 2 or 3] px, log-likelihood [B, K, H], which is -inf in others."""
        levels = self._levels(int(state.data["band"]), last)
        shape = batch.size, self.classes, levels.kept_after(levels.last_order)
        value = torch.full(shape, -torch.inf, dtype=torch.float64, device=batch.half.device)
        rotation, shift = batch.ctf.new_zeros(*shape, 3, 3), batch.ctf.new_zeros(*shape, batch.shift_dim)
        for own, grid in enumerate(self._grids(state)):
            rows = torch.nonzero(hoped[:, own])[:, 0]
            if len(rows):
                found = self._searched(state, batch.take(rows), grid, last)
                rotation[rows, own], shift[rows, own] = found.rotation.to(rotation), found.shift_px.to(shift)
                value[rows, own] = found.log_likelihood.to(value)
        return rotation, shift, value

    def _searched(self, state: State, batch: Any, grid: Tensor, last: int | None = None) -> Candidates:
        band, box = int(state.data["band"]), grid.shape[0] // 2
        images = ScoredImages.of(batch.limit(band)).coarser(band, box)
        return search_poses(images, grid, self._levels(band, last))

    def _levels(self, band: int, last: int | None) -> SearchLevels:
        last = max(FIRST_ORDER, order_for(band) - 1) if last is None else last
        return SearchLevels(
            FIRST_ORDER, last, min(FIRST_BAND, band), shift_range=self.settings.shift_range, kept=(8, 2)
        )

    def _grids(self, state: State) -> list[Tensor]:
        """Fourier grids of the present maps, made once per update."""
        maps = state.tensors["maps"]
        return self._kept.of(maps, lambda: [volume_to_grid(map_) for map_ in maps])

    def _with_found(self, state: State, number: int) -> dict[str, Tensor]:
        kept = {name: tensor for name, tensor in state.tensors.items() if name.startswith(FOUND)}
        if number >= 0:
            own = {"maps": f"{FOUND}{number}", MISFIT: f"{FOUND}{MISFIT}-{number}"}
            kept |= {place: state.tensors[name] for name, place in own.items() if name in state.tensors}
        return kept

    def _band(self, shells: int) -> int:
        return min(shells, self.context.box // 2 - 1)

    def _pixel_size(self, state: State) -> float:
        """Å per pixel of the present maps' box."""
        return self.context.pixel_size * self.context.box / state.tensors["maps"].shape[-1]


def _of_classes(sums: Tensor, box: int, classes: int) -> list[LinearSums]:
    """The sums of each class by themselves: a record of ``ClassInsertion`` is one of a single channel per class."""
    parts = torch.stack([sums[..., 3 * c : 3 * c + 3] for c in range(classes)])
    return LinearSums.completed(parts, box, 1)


def _likeliest(below: Tensor, count: int | None) -> Tensor:
    """[B, K]: the ``count`` classes (None: all) in which an image was likeliest; all where it has not been seen."""
    every = torch.ones_like(below, dtype=torch.bool)
    if count is None or count >= below.shape[1]:
        return every
    few = torch.zeros_like(every).scatter(1, below.topk(count, dim=1).indices, True)
    return torch.where((below < 0).any(1, keepdim=True), few, every)


def _mirrored(maps: Tensor) -> Tensor:
    return torch.stack([other_hand(map_) for map_ in maps])
