"""The steps of ``refine``: where each image looks from, given its half set's map; and the maps that follow."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from hypermol.engine import Contribution, Draws, State
from hypermol.errors import ConfigError
from hypermol.imaging import spacing_deg, symmetry_rotations
from hypermol.kernels import volume_to_grid
from hypermol.maps import centred_sphere, filtered, low_pass, read_map, resized
from hypermol.methods.backprojection import LOCAL_RESOLUTION, maps_and_words
from hypermol.methods.kept import Kept
from hypermol.methods.masks import first_mask
from hypermol.methods.on_axes import on_axes
from hypermol.methods.pose_findings import findings
from hypermol.methods.refine_optics import Optics
from hypermol.methods.resolved_where import resolved_where
from hypermol.metrics import fsc, resolution
from hypermol.poses import ScoredImages, SearchLevels, order_for, refine_poses, search_poses
from hypermol.reconstruction import (
    Accumulators,
    first_below,
    fourier_gain,
    half_map,
    insertion,
    molecule_mask,
    profile_volume,
    shell_mean,
)
from hypermol.specs import BuildContext

BEYOND = 4  # shells beyond those in which the half maps agree that poses are still compared in
AGREEMENT = 0.143
INDEPENDENCE, REASON = "models", "each half set was aligned to its own map, beyond the resolution they began with"
POSES = ("rotation", "shift", "log_likelihood")
DAMPED = 1.5
PACE = 4  # shells by which the band may grow in one pass
Found = tuple[Tensor, Tensor, Tensor]


@dataclasses.dataclass
class Steps:
    """State: maps [2, D, D, D] of the halves, filtered; mask; table: rotation, shift (Å), log_likelihood, and
    what ``Optics`` keeps; data: band; posed: whether the table holds a pose of every particle.

    ``settings``: a ``Refine`` or what has its fields.
    """

    settings: Any
    context: BuildContext

    def __post_init__(self) -> None:
        self._kept = Kept()
        group = symmetry_rotations(self.settings.symmetry)
        self._group = group if len(group) > 1 else None
        self._optics = Optics.of(self.settings)

    def initial(self) -> State:
        """Both halves begin with the reference, low-passed: finer detail would be shared and not found."""
        context = self.context
        data = {"box": context.box, "pixel_size": context.pixel_size, "points": context.points}
        return self.begun(State(data=data), self._reference())

    def _given_mask(self, state: State) -> tuple[Tensor, str] | None:
        if self.settings.mask == "auto":
            return None
        origin = "the sphere of the box" if self.settings.mask == "sphere" else f"as given: {self.settings.mask}"
        return state.tensors["mask"], origin

    def _in_units_of_images(self, map_: Tensor) -> Tensor:
        """A map from elsewhere, scaled so that its transform is as strong as the images say the molecule's is: least
        squares over the shells that it is trusted to, each with its number of points. A filter can only have damped
        it, so shells that ask for half as much again as the least are left out."""
        own = shell_mean(volume_to_grid(map_)[..., 0].abs().square(), self.context.box).sqrt()
        shells = torch.arange(1, self._first_band() + 1)
        own, wanted = own[shells], self.context.signal_amplitude.double()[shells].to(own)
        if not float(own.amax()) > 0:
            raise ConfigError(f"reference: {self.settings.reference} holds nothing but its mean")
        ratio = wanted / own
        weight = shells.to(own).square() * (ratio <= DAMPED * ratio.amin())
        return map_ * float((weight * own * wanted).sum() / (weight * own.square()).sum())

    def _first_band(self) -> int:
        last = self.context.box // 2 - 1
        return min(last, max(6, round(self.settings.start * last)))

    def begun(self, state: State, reference: Tensor, trusted: int = 0) -> State:
        """``state`` with this map for both halves. trusted: its shells that tell of its symmetry, if more than those
        to begin with."""
        box, band, said = self.context.box, self._first_band(), list[str]()
        if self._group is not None:
            reference, said = on_axes(reference, self.settings.symmetry, max(band, trusted), self._fixed())
        low = low_pass(reference, 1.0, box / band)
        tensors = {"maps": torch.stack([low, low]), "mask": first_mask(self.settings.mask, box).to(low.device)}
        data = {**state.data, "band": band, "posed": False, "notes": [*state.data.get("notes", ()), *said]}
        return State(tensors=tensors | self._optics.begun(), data=data)

    def _fixed(self) -> str:
        """Why a map to begin with must stay where it is, if so."""
        if self.settings.mask not in ("auto", "sphere"):
            return f"the mask, which lies where the map does ({self.settings.mask}); let the mask be auto"
        return (
            "" if self.settings.search_passes else "the given poses, which search_passes = 0 keeps; let it be 1 or more"
        )

    def search(self, state: State, batch: Any, draws: Draws) -> Contribution:
        """Every pose anew."""
        band = int(state.data["band"])
        own = self.settings
        levels = SearchLevels.up_to(band, own.shift_range, own.kept, symmetry=own.symmetry)

        def find(images: ScoredImages, rows: Tensor, grid: Tensor) -> Found:
            return search_poses(images, grid, levels).first

        return self._aligned(state, batch, find, defocus=False)

    def climb(self, state: State, batch: Any, draws: Draws) -> Contribution:
        """Poses refined from where they are: those of the last pass, or those of the file."""
        band, known = int(state.data["band"]), state.table
        if state.data["posed"]:  # the table fills up during the first pass
            rotation, shift = known["rotation"][batch.particle], known["shift"][batch.particle]
        else:
            rotation, shift = batch.rotation, batch.shift

        def find(images: ScoredImages, rows: Tensor, grid: Tensor) -> Found:
            step = spacing_deg(order_for(band)) / 2
            return refine_poses(images, grid, rotation[rows], shift[rows] / batch.pixel_size, step)

        return self._aligned(state, batch, find)

    def half_maps(self, state: State, totals: dict[str, Tensor]) -> State:
        """New maps of the halves, each filtered by what they agree on; the band in which they are compared next."""
        box, pixel_size = self.context.box, self.context.pixel_size
        sums = Accumulators.view(totals["sums"], box).symmetrise()
        rows = self._optics.normalised(state, sums)
        first, second = half_map(sums, 0), half_map(sums, 1)
        unmasked = fsc(first, second, centred_sphere(box))
        mean = filtered((first + second) / 2, profile_volume(fourier_gain(unmasked), box))
        given = self._given_mask(state)
        mask = given[0] if given else None
        if mask is None:
            mask = molecule_mask(mean, pixel_size, resolution(unmasked, pixel_size, AGREEMENT))[0]
        curve = fsc(first, second, mask)
        gain = profile_volume(curve.clamp(min=0), box)  # of a half map: signal over signal and noise
        maps = torch.stack([filtered(half * mask, gain) for half in (first, second)])
        band = int(state.data["band"])
        agreed = first_below(curve, AGREEMENT) - 1
        wanted = max(band, min(agreed + BEYOND, band + PACE, box // 2 - 1))  # never less: noise would make it swing
        tensors = {"maps": maps, "mask": mask, **self._optics.learned(state, {**state.table, **rows})}
        return State(tensors=tensors, table=rows, data={**state.data, "band": wanted, "posed": True})

    def final_maps(self, state: State, totals: dict[str, Tensor]) -> State:
        """What is left to the user."""
        sums = Accumulators.view(totals["sums"], self.context.box)
        rows = self._optics.normalised(state, sums)
        tensors, words = maps_and_words(sums, self.context, INDEPENDENCE, REASON, self._given_mask(state))
        said = list(findings(tensors["consensus"], tensors["fsc_corrected"], state.table["rotation"], self._group))
        if getattr(self.settings, "local_resolution", False):
            halves = tensors["half1"], tensors["half2"]
            tensors[LOCAL_RESOLUTION], quartiles = resolved_where(*halves, tensors["mask"], self.context.pixel_size)
            said.append(quartiles)
        said += self._optics.words(self._optics.learned(state, {**state.table, **rows}))
        notes = [*state.data.get("notes", ()), *said]
        return State(tensors=tensors, table=rows, data={**state.data, **words, "notes": notes})

    def _aligned(
        self, state: State, batch: Any, find: Callable[[ScoredImages, Tensor, Tensor], Found], defocus: bool = True
    ) -> Contribution:
        """Poses of the particles of each half against its own map, and contrast and defocus at those poses where they
        are asked for; all images inserted at theirs."""
        band = int(state.data["band"])
        images = ScoredImages.of(self._optics.seen(state, batch).limit(band))
        count, device = batch.size, batch.images.device
        rotation = torch.empty(count, 3, 3, device=device)
        shift_px, value = torch.empty(count, images.shift_dim, device=device), torch.empty(count, device=device)
        for half, grid in enumerate(self._grids(state)):
            rows = torch.nonzero(batch.half == half)[:, 0]
            if len(rows):
                turned, moved, likely = find(images.take(rows), rows, grid)
                rotation[rows], shift_px[rows], value[rows] = turned.float(), moved.float(), likely.float()
        shift = shift_px * batch.pixel_size
        posed, more = dataclasses.replace(batch, rotation=rotation, shift=shift), dict[str, Tensor]()
        if self._optics.any:
            posed, more, value = self._optics.refined(state, posed, self._grids(state), band, defocus)
        placed = dataclasses.replace(insertion(posed), group=self._group)
        found = {"rotation": rotation, "shift": shift, "log_likelihood": value, **more}
        return Contribution({"sums": placed}, found, {"nll": -value.double().sum()})

    def _grids(self, state: State) -> list[Tensor]:
        """Fourier grids of the halves' maps, made once per pass."""
        maps = state.tensors["maps"]
        return self._kept.of(maps, lambda: [volume_to_grid(half) for half in maps])

    def _reference(self) -> Tensor:
        given = self.settings.reference
        if self.context.consensus is None and (not given or not self.settings.search_passes):
            raise ConfigError(
                "these particles have no poses to begin from: give a map with --set reference=MAP.mrc and let "
                "search_passes be 1 or more, or let `-m abinitio` find a map"
            )
        if not given:
            found: Tensor = self.context.consensus()  # type: ignore[misc]
            return found
        map_, pixel_size = read_map(given)
        context = self.context
        return self._in_units_of_images(resized(map_.float(), pixel_size, context.box, context.pixel_size))
