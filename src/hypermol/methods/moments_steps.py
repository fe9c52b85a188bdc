"""The steps of ``moments``: sums over images, and the map that has their moments."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hypermol.engine import Contribution, Draws, State, generator
from hypermol.errors import DataError
from hypermol.imaging import rebox
from hypermol.imaging.lattice import Lattice
from hypermol.reconstruction import ImageMoments, Inverted, MomentInversion, RingMap, Rings, ViewingSphere
from hypermol.specs import BuildContext
from hypermol.volumes import Expansion
from hypermol.volumes.base import coarse_map

UNIFORM = "uniform"
VIEWS = ("estimate", UNIFORM)
SPREAD = 30.0  # over the deviation that a molecule without a centre would have: few coefficients hold most of it
BEYOND = 4  # shells that values between pixels are still made from
LARGEST_KNOWN = 10  # degree up to which a given density is told
ONE_SIDED = 1.5  # directions are not uniform where imaginary parts are so much larger than sampling makes them
WELL_EXPLAINED = 5.0


@dataclasses.dataclass
class Steps:
    """State, at the end: consensus [D, D, D]; coefficients [N]; views [n, 4]. ``settings``: a ``Moments``; ``known``:
    the viewing directions of its file."""

    settings: Any
    context: BuildContext
    known: np.ndarray | None

    def __post_init__(self) -> None:
        settings, context = self.settings, self.context
        self._rings = Rings(settings.shells, settings.radius, settings.order == 3)
        self._expansion = Expansion.of(context.box, settings.shells, settings.radius, settings.concentration)
        self._map: RingMap | None = None

    def initial(self) -> State:
        """Nothing yet."""
        context = self.context
        return State(data={"box": context.box, "pixel_size": context.pixel_size, "points": context.points})

    def add(self, state: State, batch: Any, draws: Draws) -> Contribution:
        """Products of the features of a batch's images."""
        batch = batch.limit(self._band)
        lattice: Lattice = batch.lattice
        return Contribution(dict(ImageMoments.sums(self._rings, self._ring_map(lattice), lattice, batch)))

    def inverted(self, state: State, totals: dict[str, Tensor]) -> State:
        """Map and density of the best of all starts. Raises DataError where second moments cannot tell views from
        uniform ones."""
        device = totals["count"].device
        sums = {name: total.cpu() for name, total in totals.items()}
        lattice = Lattice.disc(self.context.box, self._band)
        moments = ImageMoments.of(self._rings, RingMap.of(self._rings, lattice), sums)
        self._refuse_uniform(moments)
        inversion = self._inversion(moments)
        found = [inversion.solve(self._start(number), self.settings.iterations) for number in range(self._starts)]
        best = min(found, key=lambda one: one.cost)
        map_ = self._decoded(best.coefficients)
        tensors = {
            "consensus": map_,
            "coefficients": best.coefficients,
            "views": inversion.sphere.as_table(best.density),
        }
        data = {**state.data, **self._words(found, best, moments)}
        return State({name: tensor.float().to(device) for name, tensor in tensors.items()}, state.table, data)

    @property
    def _band(self) -> int:
        return min(self.settings.shells + BEYOND, self.context.box // 2 - 1)

    @property
    def _starts(self) -> int:
        return int(self.settings.starts)

    def _ring_map(self, lattice: Lattice) -> RingMap:
        if self._map is None or self._map.direct.device != lattice.k.device:
            self._map = RingMap.of(self._rings, lattice)
        return self._map

    def _inversion(self, moments: ImageMoments) -> MomentInversion:
        context = self.context
        sphere = ViewingSphere(self.settings.degree if self.known is None else LARGEST_KNOWN)
        known = None
        if self.known is not None:
            known = sphere.of_table(torch.from_numpy(self.known))
        elif self.settings.views == UNIFORM or not self.settings.degree:
            known = sphere.uniform
        variance = self._expansion.variance(context.signal_amplitude.double().square(), context.box)
        spread = SPREAD * variance.sqrt()
        return MomentInversion(self._rings, context.box, self._expansion, sphere, moments, spread, known)

    def _start(self, number: int) -> Tensor:
        random = generator(self.context.seed, "moments", number)
        return torch.randn(self._expansion.size, generator=random, dtype=torch.float64) / SPREAD

    def _decoded(self, coefficients: Tensor) -> Tensor:
        def values(k: Tensor, z: Tensor | None) -> Tensor:
            return self._expansion.combined(self._expansion.design(k), coefficients)

        box = self.context.box
        small = min(box, 2 * (self.settings.shells + 1))
        return rebox(coarse_map(values, box, small, None, torch.device("cpu")).float(), box)

    def _refuse_uniform(self, moments: ImageMoments) -> None:
        if self.settings.order == 2 and self.known is None and moments.one_sidedness < ONE_SIDED:
            raise DataError(
                f"{self.settings.name}: opposite views are equally frequent as far as {moments.count} images tell "
                f"(imaginary parts of second moments {moments.one_sidedness:.2f} times what sampling makes; uniform "
                f"views 1, expected {ONE_SIDED:g} or more), and under uniform views second moments leave an orthogonal "
                "matrix of each degree open (Kam 1980); say order=3, or give the density of views"
            )

    def _words(self, found: list[Inverted], best: Inverted, moments: ImageMoments) -> dict[str, Any]:
        how = "squared difference of the moments over its sampling variance, mean; 1 is all that images can ask"
        metrics = {"misfit": {"value": best.misfit, "unit": "", "how": how}}
        beside = ", ".join(f"{one.misfit:.2f}" for one in found)
        notes = [
            f"start {found.index(best) + 1} of {len(found)} was chosen: it explains the moments best (misfit {beside})",
            "no pose was inferred; the hand of the map is one of two, which moments of images do not tell apart",
            "images are taken to be centred: a shift of a third of the finest wavelength is felt in the last shell",
        ]
        if best.misfit > WELL_EXPLAINED:
            notes.append(
                f"the moments are not explained (misfit {best.misfit:.1f}): images off centre, several molecules, or a "
                f"molecule beyond radius = {self.settings.radius:g} boxes; do not trust this map"
            )
        return {"metrics": metrics, "notes": notes}
