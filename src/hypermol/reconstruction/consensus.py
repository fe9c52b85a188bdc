"""The consensus map: back projection of all particles from known poses, with half maps, FSC and mask."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from hypermol.errors import DataError
from hypermol.imaging import Lattice
from hypermol.maps import automatic_mask, filtered, soft_sphere, write_map
from hypermol.metrics import fsc, resolution
from hypermol.reconstruction.accumulators import Accumulators
from hypermol.reconstruction.curves import THRESHOLD, HalfMapCurves, half_map_curves
from hypermol.reconstruction.insertion import insertion
from hypermol.reconstruction.shells import profile_volume
from hypermol.reconstruction.support import fourier_gain, real_space_gain
from hypermol.reconstruction.wiener import half_map, signal_power, weighted_map
from hypermol.shapes import Float

BATCH = 512


@runtime_checkable
class Batches(Protocol):
    """Where batches of particles come from (the engine's sources are such)."""

    @property
    def lattice(self) -> Lattice:
        """The points of the images."""

    @property
    def pixel_size(self) -> float:
        """Å."""

    @property
    def count(self) -> int:
        """Number of particles."""

    def pass_order(self, seed: int, pass_index: int, shuffle: bool) -> Tensor:
        """Particle indices of one pass."""

    def stream(self, groups: Iterable[Tensor]) -> Iterator[Any]:
        """One batch per group of indices."""


@dataclass(frozen=True, eq=False)
class ConsensusMaps:
    """What back projection gives. Maps are float32 [D, D, D]; ``pixel_size`` in Å.

    map: all particles; Wiener-filtered radially in real space, then in Fourier space by the corrected FSC.
    unfiltered: the same before both filters. half_maps: [2, D, D, D], unfiltered, for FSC. mask: soft, 0 … 1, and
    ``mask_origin``, how it came about in words. curves: FSC between the half maps (they share their poses:
    independence "accumulators"). power: τ² per shell of the prior, [D/2].
    """

    map: Float[Tensor, "d d d"]
    unfiltered: Float[Tensor, "d d d"]
    half_maps: Float[Tensor, "2 d d d"]
    mask: Float[Tensor, "d d d"]
    mask_origin: str
    curves: HalfMapCurves
    power: Float[Tensor, " s"]
    pixel_size: float

    def named_maps(self) -> dict[str, Float[Tensor, "d d d"]]:
        """The maps by file name: consensus, unfiltered, half1, half2, mask."""
        first, second = self.half_maps
        names = ("consensus", "unfiltered", "half1", "half2", "mask")
        return dict(zip(names, (self.map, self.unfiltered, first, second, self.mask)))

    def write(self, folder: str | Path) -> list[Path]:
        """Write each of ``named_maps`` as NAME.mrc with the true pixel size; returns the paths."""
        named = self.named_maps()
        return [write_map(Path(folder) / f"{name}.mrc", map_, self.pixel_size) for name, map_ in named.items()]


def consensus(source: Batches, oversampling: int = 2, seed: int = 0, batch_size: int = BATCH) -> ConsensusMaps:
    """Back projection of every particle of a source with known poses (one pass, in the source's order).

    ``seed`` draws the phases of the phase-randomised FSC. Raises DataError where the particles have no poses, or a
    half set is empty. Time: one read of the images, and about 19 D² additions per image (``accumulators``).
    """
    if source.count == 0:
        raise DataError("back projection: there is not one particle")
    sums = Accumulators.zeros(source.lattice.box, oversampling, source.lattice.k.device)
    for batch in source.stream(source.pass_order(seed, 0, False).split(batch_size)):
        insertion(batch, oversampling).add_to(sums.data)
    return form_maps(sums, source.pixel_size, seed)


def form_maps(
    sums: Accumulators, pixel_size: float, seed: int = 0, given: tuple[Tensor, str] | None = None
) -> ConsensusMaps:
    """Maps and curves from the sums over all particles. The sums are symmetrised in place: they are used up. given:
    a mask [D, D, D] and where it comes from, where one is known.

    Raises DataError where a half set is empty.
    """
    for half in range(2):
        if not bool((sums.weight(half) > 0).any()):
            raise DataError(
                f"back projection: half set {half + 1} of 2 holds no image with a signal, so there is no FSC; "
                "give rlnRandomSubset (or alignments3D/split) both its values, or leave the column out"
            )
    sums.symmetrise()
    first, second = half_map(sums, 0), half_map(sums, 1)
    unmasked = fsc(first, second)
    power = signal_power(sums, unmasked)
    window = real_space_gain(first, second, fourier_gain(unmasked))
    whole = weighted_map(sums, power)
    # the mask needs a filtered map, the best filter needs the FSC inside the mask
    rough = _filtered(whole * window, fsc(first, second, window))
    mask, origin = given or molecule_mask(rough, pixel_size, resolution(unmasked, pixel_size, THRESHOLD))
    curves = half_map_curves(first, second, mask, pixel_size, seed)
    map_ = _filtered(whole * window, curves.corrected)
    return ConsensusMaps(map_, whole, torch.stack([first, second]), mask, origin, curves, power, pixel_size)


def _filtered(map_: Tensor, fsc: Tensor) -> Tensor:
    return filtered(map_, profile_volume(fourier_gain(fsc), map_.shape[-1]))


def molecule_mask(map_: Tensor, pixel_size: float, finest: float) -> tuple[Tensor, str]:
    """A soft mask of the molecule, its edge at least four pixels; a sphere where nothing stands out."""
    box = map_.shape[-1]
    widest = box * pixel_size / 4
    try:
        mask = automatic_mask(
            map_,
            pixel_size,
            resolution=min(max(15.0, finest), widest),
            extend=max(6.0, 2 * pixel_size),
            edge=max(9.0, 4 * pixel_size),
        )
        return mask, "automatic: around the density of the filtered consensus map"
    except DataError:
        edge = box / 8
        return soft_sphere(box, box / 2 - edge - 1, edge).to(map_), "a sphere: no density stands out in the map"
