"""What ``refine`` learns of each particle besides its pose: contrast and defocus, and how widely both vary.

The table holds contrast, defocus_change_angstrom and their standard errors; they are used in the sums of the pass that
finds them, and for the poses of the next. The scale of all contrasts of a half set is free: its map takes the mean up.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from torch import Tensor

from hypermol.engine import State
from hypermol.particles import Batch
from hypermol.poses import DefocusSums, compare_slices, contrast_posterior, find_defocus, learned_variance
from hypermol.reconstruction import Accumulators

CONTRAST, CONTRAST_ERROR = "contrast", "contrast_error"
DEFOCUS, DEFOCUS_ERROR = "defocus_change_angstrom", "defocus_error_angstrom"
HALF, LIKELIHOOD = "half", "log_likelihood"
START_CONTRAST_VARIANCE = 0.02
LEAST_CONTRAST = 0.1
"""So that a particle that shows nothing still has a best pose."""
Rows = dict[str, Tensor]


@dataclasses.dataclass(frozen=True)
class Optics:
    """contrast, defocus: whether each is refined; reach: largest change of defocus, Å."""

    contrast: bool
    defocus: bool
    reach: float

    @staticmethod
    def of(settings: Any) -> Optics:
        """Of a ``Refine``, or of what has some of its fields."""
        contrast, defocus = (bool(getattr(settings, name, False)) for name in ("contrast", "defocus"))
        return Optics(contrast, defocus, float(getattr(settings, "defocus_range", 0.0)))

    @property
    def any(self) -> bool:
        """Whether anything is refined at all."""
        return self.contrast or self.defocus

    @property
    def columns(self) -> tuple[str, ...]:
        """Names in the table that a run leaves to its user."""
        contrast, defocus = (CONTRAST, CONTRAST_ERROR), (DEFOCUS, DEFOCUS_ERROR)
        return (*(contrast if self.contrast else ()), *(defocus if self.defocus else ()))

    def begun(self) -> Rows:
        """The priors' variances before anything is known, as tensors of the state."""
        variances = {"contrast_variance": (self.contrast, START_CONTRAST_VARIANCE)}
        variances["defocus_variance"] = (self.defocus, (self.reach / 2) ** 2)
        return {name: torch.full((1,), v, dtype=torch.float64) for name, (on, v) in variances.items() if on}

    def seen(self, state: State, batch: Batch) -> Batch:
        """The batch with CTFs at the defocus found so far, times the contrast."""
        if not self.any or not state.data["posed"]:
            return batch
        rows = {name: state.table[name][batch.particle] for name in (CONTRAST, DEFOCUS) if name in state.table}
        return self._changed(batch, rows)

    def refined(
        self, state: State, batch: Any, grids: list[Tensor], band: int, defocus: bool
    ) -> tuple[Batch, Rows, Tensor]:
        """Contrast and (where ``defocus``) defocus of particles at their poses, each compared with the map of its half
        up to a shell: the batch with the CTFs that follow, rows for the table, log-likelihoods [B]."""
        device, low = batch.images.device, batch.limit(band)
        rows = {n: torch.zeros(batch.size, dtype=torch.float64, device=device) for n in (*self.columns, LIKELIHOOD)}
        for half, grid in enumerate(grids):
            own = torch.nonzero(batch.half == half)[:, 0]
            if len(own):
                for name, values in self._half(state, low.take(own), grid, defocus).items():
                    rows[name][own] = values.to(rows[name])
        value = rows.pop(LIKELIHOOD)
        if self.contrast:
            rows[HALF] = batch.half
        return self._changed(batch, rows), rows, value

    def _half(self, state: State, batch: Any, grid: Tensor, defocus: bool) -> Rows:
        """Rows for particles of one half set."""
        match, power = compare_slices(batch, grid, batch.rotation, batch.shift)
        spread = float(state.tensors["contrast_variance"]) if self.contrast else 0.0
        rows: Rows = {}
        if self.defocus and defocus:
            variance = float(state.tensors["defocus_variance"])
            found = find_defocus(DefocusSums.of(batch, match, power), self.reach, variance, spread)
            rows = {DEFOCUS: found.change, DEFOCUS_ERROR: found.error}
            overlap, strength = found.overlap, found.power
        else:
            overlap, strength = ((2 * p).sum((1, 2)) for p in (match * batch.ctf, power * batch.ctf.square()))
        contrast = torch.ones_like(overlap)
        if self.contrast:
            mean, error = contrast_posterior(overlap, strength, spread)
            contrast = mean.clamp(min=LEAST_CONTRAST)
            rows |= {CONTRAST: contrast, CONTRAST_ERROR: error}
        return {**rows, LIKELIHOOD: contrast * overlap - contrast.square() * strength / 2}

    def _changed(self, batch: Batch, rows: Rows) -> Batch:
        ctf = batch.ctf
        if DEFOCUS in rows and batch.optics is not None:
            change = rows[DEFOCUS].double()[:, None].expand(batch.optics.shape)
            ctf = batch.optics.defocused(change).evaluate(batch.lattice.k, batch.pixel_size) * batch.valid[..., None]
        if CONTRAST in rows:
            ctf = ctf * rows[CONTRAST].to(ctf)[:, None, None]
        return dataclasses.replace(batch, ctf=ctf)

    def normalised(self, state: State, sums: Accumulators) -> Rows:
        """Contrasts over their mean in each half set: new rows of the table; and the sums, in place, as if they had
        been so before."""
        if not self.contrast:
            return {}
        half, contrast, error = (state.table[name] for name in (HALF, CONTRAST, CONTRAST_ERROR))
        mean = torch.stack([contrast[half == h].mean() for h in range(2)])
        for h in range(2):
            sums.numerator(h).div_(float(mean[h]))
            sums.weight(h).div_(float(mean[h]) ** 2)
        return {CONTRAST: contrast / mean[half], CONTRAST_ERROR: error / mean[half]}

    def learned(self, state: State, table: Rows) -> Rows:
        """The priors' variances under which what was found of all particles is most likely."""
        found = {}
        if self.contrast:
            variance = float(state.tensors["contrast_variance"])
            found["contrast_variance"] = learned_variance(table[CONTRAST], table[CONTRAST_ERROR], 1.0, variance)
        if self.defocus:
            variance = float(state.tensors["defocus_variance"])
            known = table[DEFOCUS_ERROR] > 0  # no pass has looked at the defocus yet
            if bool(known.any()):
                variance = learned_variance(table[DEFOCUS][known], table[DEFOCUS_ERROR][known], 0.0, variance)
            found["defocus_variance"] = variance
        return {name: torch.full((1,), value, dtype=torch.float64) for name, value in found.items()}

    def words(self, learned: Rows) -> list[str]:
        """What a finished run says of them."""
        said = []
        if self.contrast:
            said.append(f"contrast of the particles: 1 ± {float(learned['contrast_variance']) ** 0.5:.3f}, learned")
        if self.defocus:
            spread = float(learned["defocus_variance"]) ** 0.5
            said.append(
                f"defocus: ± {spread:.0f} Å about that of the file, learned; the new one is in the particle file"
            )
        return said
