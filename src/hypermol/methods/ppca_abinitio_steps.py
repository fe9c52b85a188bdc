"""The steps of ``ppca-abinitio``: those of ``ppca``, each at the poses known so far or at better ones."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from torch import Tensor

from hypermol.engine import Contribution, Draws, State, Step
from hypermol.imaging import spacing_deg
from hypermol.joint import LinearImages
from hypermol.methods.pose_findings import findings
from hypermol.methods.ppca_steps import Steps as VolumeSteps
from hypermol.poses import Candidates, ScoredImages, SearchLevels, order_for, refine_poses, search_poses
from hypermol.reconstruction import without_rigid_motion
from hypermol.specs import BuildContext

KEPT = (12, 6, 3)
"""Candidates under each conformation; what is left of all is compared with z integrated out."""
ROUNDS = 2  # of the climb; every pass goes on where the last one stopped
SEED = 0
Poses = tuple[Tensor, Tensor]


@dataclasses.dataclass
class Steps:
    """State: as of ``ppca``, and places [M, K], conformations under which poses are searched; table: rotation, shift
    (Å); data: posed, whether the table holds a pose of every particle.

    ``settings``: a ``PosedPrincipalVolumes``.
    """

    settings: Any
    context: BuildContext

    def __post_init__(self) -> None:
        self.volumes = VolumeSteps(self.settings.volumes, self.context)

    def begun(self, state: State) -> State:
        """No components yet; poses as found or as in the file."""
        fresh = self.volumes.initial()
        kept: dict[str, Any] = {name: state.data[name] for name in ("posed", "notes") if name in state.data}
        return State(fresh.tensors, state.table, {**fresh.data, "posed": False, **kept})

    def placed(self, step: Step) -> Step:
        """``step`` at the poses known."""

        def contribute(state: State, batch: Any, draws: Draws) -> Contribution:
            return step.contribute(state, _at(batch, self._known(state, batch)), draws)

        return Step(contribute, step.apply)

    def climbed(self, step: Step) -> Step:
        """``step`` at poses that climb first, z integrated out."""
        return self._moved(step, self._climb)

    def searched(self, step: Step) -> Step:
        """``step`` at poses that are searched anew under several conformations first."""
        return self._moved(step, self._search)

    def _moved(self, step: Step, move: Any) -> Step:
        def contribute(state: State, batch: Any, draws: Draws) -> Contribution:
            rotation, shift = self._by_model(state, batch, move)
            found = step.contribute(state, _at(batch, (rotation, shift)), draws)
            return dataclasses.replace(found, rows={"rotation": rotation, "shift": shift, **found.rows})

        def apply(state: State, totals: dict[str, Tensor]) -> State:
            after = step.apply(state, totals)
            return dataclasses.replace(after, data={**after.data, "posed": True})

        return Step(contribute, apply)

    def freed(self, step: Step) -> Step:
        """``step`` with the rigid motion taken out of its components: the poses of the next pass take it up."""

        def apply(state: State, totals: dict[str, Tensor]) -> State:
            after = step.apply(state, totals)
            tensors = {name: _rigid_free(name, maps) for name, maps in after.tensors.items()}
            return dataclasses.replace(after, tensors=tensors)

        return Step(step.contribute, apply)

    def look(self, state: State, batch: Any, draws: Draws) -> Contribution:
        """z of each particle under the present model of its half."""
        images = self.volumes.seen(state, batch)
        found = self.volumes.posterior(state, images, images.half)
        return Contribution(rows={"z_seen": found.mean.float()})

    def gathered(self, state: State) -> State:
        """The conformations under which poses are searched: centres of what was seen."""
        from sklearn.cluster import KMeans

        seen = state.table["z_seen"].cpu().double().numpy()
        means = KMeans(min(self.settings.conformations, len(seen)), n_init=3, random_state=SEED).fit(seen)
        places = torch.from_numpy(means.cluster_centers_).to(state.table["z_seen"])
        return dataclasses.replace(state, tensors={**state.tensors, "places": places})

    def finished(self, state: State, totals: dict[str, Tensor]) -> State:
        """As of ``ppca``, but for the half means and their FSC, which are those of the halves' own models: later poses
        come from a map of all particles. And what the poses say against themselves."""
        after = self.volumes.finished(state, totals)
        apart = {"half_means": state.tensors["maps"][:, 0], "fsc": state.tensors["fsc"]}
        said = findings(after.tensors["joint"][0], apart["fsc"][0], state.table["rotation"])
        notes = [*state.data.get("notes", ()), *said]
        return dataclasses.replace(after, tensors={**after.tensors, **apart}, data={**after.data, "notes": notes})

    def _by_model(self, state: State, batch: Any, move: Any) -> Poses:
        """New poses of each particle under the model of its half, or the one of all; shifts in Å."""
        band, grids = int(state.data["band"]), self.volumes.grids(state)
        small = grids[0].shape[0] // self.settings.volumes.oversampling
        images = ScoredImages.of(batch.limit(band)).coarser(band, small)
        unit = batch.pixel_size * self.context.box / small
        rotation, shift = (part.clone() for part in self._known(state, batch))
        for number, grid in enumerate(grids):
            rows = torch.nonzero(batch.half == number)[:, 0] if len(grids) > 1 else torch.arange(batch.size)
            if len(rows):
                turned, moved = move(state, images.take(rows), grid, (rotation[rows], shift[rows] / unit))
                rotation[rows], shift[rows] = turned.to(rotation), (moved * unit).to(shift)
        return rotation, shift

    def _climb(self, state: State, images: ScoredImages, grid: Tensor, known: Poses) -> Poses:
        step = spacing_deg(order_for(int(state.data["band"]))) / 2
        turned, moved, _ = refine_poses(self._linear(state, images), grid, *known, step, ROUNDS)
        return turned, moved

    def _search(self, state: State, images: ScoredImages, grid: Tensor, known: Poses) -> Poses:
        """The best, z integrated out, of the poses that are likely under each conformation and the one known."""
        levels = SearchLevels.up_to(int(state.data["band"]), self.settings.poses.shift_range, KEPT)
        one = torch.ones(1).to(grid)
        maps = ((grid * torch.cat([one, place.to(grid)])).sum(-1, keepdim=True) for place in state.tensors["places"])
        found: list[Candidates] = [search_poses(images, map_, levels) for map_ in maps]
        rotation = torch.cat([known[0][:, None], *(one.rotation for one in found)], 1)
        shift = torch.cat([known[1][:, None], *(one.shift_px for one in found)], 1)
        best = self._linear(state, images).log_likelihood(grid, rotation, shift)[0].argmax(1)
        rows = torch.arange(len(best))
        return self._climb(state, images, grid, (rotation[rows, best], shift[rows, best]))

    def _linear(self, state: State, images: ScoredImages) -> LinearImages:
        return LinearImages(images, float(state.tensors["contrast_variance"]), self.settings.volumes.oversampling)

    def _known(self, state: State, batch: Any) -> Poses:
        if state.data["posed"]:
            return state.table["rotation"][batch.particle], state.table["shift"][batch.particle]
        return batch.rotation, batch.shift


def _rigid_free(name: str, maps: Tensor) -> Tensor:
    """Models without the rigid motion that their particles' next poses can take up."""
    if name == "maps":
        return torch.stack([without_rigid_motion(half) for half in maps])
    return without_rigid_motion(maps) if name == "joint" else maps


def _at(batch: Any, poses: Poses) -> Any:
    return dataclasses.replace(batch, rotation=poses[0], shift=poses[1])
