"""The steps of ``abinitio``: maps grown from random poses on half set 1, and the choice among them by half set 2."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from torch import Tensor

from hypermol.engine import Contribution, Draws, State
from hypermol.imaging import quaternion_to_matrix, rebox
from hypermol.kernels import volume_to_grid
from hypermol.maps import soft_sphere
from hypermol.methods.particle_images import smallest_box
from hypermol.poses import Candidates, ScoredImages, SearchLevels, order_for, search_poses
from hypermol.reconstruction import LinearInsertion, LinearSums, insertion
from hypermol.specs import BuildContext

FIRST_ORDER = 2
FIRST_BAND = 6
JUDGED = 2000  # particles, of both halves, by which the starts are told apart
FOUND = "found-"


@dataclasses.dataclass
class Steps:
    """State: map [b, b, b] of the present start, in a box as small as its band allows; sums, what it is solved from;
    found-0 …: the maps of the starts that are over, [D, D, D]; data: band. ``settings``: an ``AbInitio``."""

    settings: Any
    context: BuildContext

    def __post_init__(self) -> None:
        self._sliced: tuple[Tensor | None, Tensor | None] = None, None

    @property
    def judged(self) -> int:
        """Particles that the choice looks at."""
        return min(JUDGED, self.context.count)

    def initial(self) -> State:
        """No map yet."""
        context = self.context
        return State(data={"box": context.box, "pixel_size": context.pixel_size, "points": context.points})

    def anew(self, state: State, number: int) -> State:
        """Start ``number``, from nothing; the map of the one before is kept."""
        tensors = self._with_found(state, number - 1)
        return State(tensors, state.table, {**state.data, "band": self._band(self.settings.first_shells)})

    def sharper(self, state: State) -> State:
        """More shells: sums begin again, on a finer grid."""
        band, box = self._band(self.settings.last_shells), self.context.box
        tensors = {name: tensor for name, tensor in state.tensors.items() if name != "sums"}
        tensors["map"] = rebox(tensors["map"], smallest_box(band, box))
        return State(tensors, state.table, {**state.data, "band": band})

    def gathered(self, state: State) -> State:
        """The maps of all starts."""
        return State(self._with_found(state, self.settings.starts - 1), state.table, state.data)

    def scatter(self, state: State, batch: Any, draws: Draws) -> Contribution:
        """Images of half set 1 at random poses."""
        rotation = quaternion_to_matrix(draws.normal("rotation", 4))
        shift = rotation.new_zeros(batch.size, 2)
        return self._inserted(state, batch, rotation, shift)

    def climb(self, state: State, batch: Any, draws: Draws) -> Contribution:
        """Images of half set 1 where the present map says that they look from."""
        rows = torch.nonzero(batch.half == 0)[:, 0]
        found = self._searched(state, batch.take(rows), self._grid(state))
        rotation, shift_px, value = found.first
        moved = shift_px * self._pixel_size(state)
        contribution = self._inserted(state, batch.take(rows), rotation, moved)
        # particles of the other half count as well: sums are turned into means over the batch
        return dataclasses.replace(contribution, info={"nll": -value.sum() * (batch.size / max(1, len(rows)))})

    def moved(self, state: State, totals: dict[str, Tensor]) -> State:
        """The map of sums that forget: a step of stochastic gradient, scaled by the data's own curvature."""
        band, fresh = int(state.data["band"]), totals["sums"]
        old = state.tensors.get("sums")
        sums = fresh if old is None else old * (1 - self.settings.step) + fresh
        box = fresh.shape[1] // 2
        whole = LinearSums.completed(sums[:1].clone(), box, 1)[0]
        power = self.context.signal_amplitude.double().square()[None, : box // 2]
        mask = soft_sphere(box, 3 * box / 8, box / 10).to(sums.device)
        map_ = whole.solve(power.to(sums.device), band)[0] * mask
        return State({**state.tensors, "sums": sums, "map": map_}, state.table, state.data)

    def judge(self, state: State, batch: Any, draws: Draws) -> Contribution:
        """Log-likelihood of images of half set 2, each at its best pose, under the map of each start."""
        unseen = batch.take(torch.nonzero(batch.half == 1)[:, 0])
        values = []
        for number in range(self.settings.starts):
            map_ = state.tensors[f"{FOUND}{number}"]
            values.append(self._searched(state, unseen, volume_to_grid(map_)).first[2].double().sum())
        return Contribution({"likelihood": torch.stack([*values, values[0].new_tensor(float(unseen.size))])})

    def chosen(self, state: State, totals: dict[str, Tensor]) -> tuple[State, Tensor]:
        """The map of the start under which half set 2 is most likely, [D, D, D], and a state that says so."""
        *values, count = totals["likelihood"].tolist()
        best = max(range(len(values)), key=values.__getitem__)
        lead = [f"{(value - values[best]) / max(count, 1):.2f}" for value in values]
        words = (
            f"start {best + 1} of {len(values)} was chosen: half set 2 is most likely under its map "
            f"(nats per particle below it: {', '.join(lead)})"
        )
        map_ = rebox(state.tensors[f"{FOUND}{best}"], self.context.box)
        return State({}, {}, {**state.data, "notes": [words]}), map_

    def _inserted(self, state: State, batch: Any, rotation: Tensor, shift: Tensor) -> Contribution:
        band = int(state.data["band"])
        rows = torch.nonzero(batch.half == 0)[:, 0]
        used = dataclasses.replace(batch, rotation=rotation, shift=shift).take(rows).limit(band)
        images = insertion(used).coarser(band, smallest_box(band, self.context.box))
        one = images.weight.new_ones(len(images.half), 1)
        return Contribution({"sums": LinearInsertion(images, one, one[..., None])})

    def _searched(self, state: State, batch: Any, grid: Tensor) -> Candidates:
        band, box = int(state.data["band"]), grid.shape[0] // 2
        images = ScoredImages.of(batch.limit(band)).coarser(band, box)
        last = max(FIRST_ORDER, order_for(band) - 1)
        levels = SearchLevels(
            FIRST_ORDER, last, min(FIRST_BAND, band), shift_range=self.settings.shift_range, kept=(8, 2)
        )
        return search_poses(images, grid, levels)

    def _grid(self, state: State) -> Tensor:
        """Fourier grid of the present map, made once per update."""
        map_ = state.tensors["map"]
        known, grid = self._sliced
        if known is not map_ or grid is None:
            grid = volume_to_grid(map_)
            self._sliced = map_, grid
        return grid

    def _with_found(self, state: State, number: int) -> dict[str, Tensor]:
        kept = {name: tensor for name, tensor in state.tensors.items() if name.startswith(FOUND)}
        return kept | ({f"{FOUND}{number}": state.tensors["map"]} if number >= 0 else {})

    def _band(self, shells: int) -> int:
        return min(shells, self.context.box // 2 - 1)

    def _pixel_size(self, state: State) -> float:
        """Å per pixel of the present map's box."""
        return self.context.pixel_size * self.context.box / state.tensors["map"].shape[-1]
