"""A batch whose candidate poses are compared with slices of a volume; shifts climb to their best on the way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from hypermol.imaging import Lattice, image_rotations, image_shifts, shift_phase, slice_coordinates
from hypermol.kernels import Correlation, correlate_poses, slice_grid
from hypermol.shapes import Bool, Complex, Float, Int

if TYPE_CHECKING:
    from hypermol.particles import Batch

_MARGIN = 2  # nodes beyond the band of a grid that was cut: those of the corners


@dataclass(frozen=True, eq=False)
class ScoredImages:
    """B particles of J images as the likelihood of a pose needs them: C X w/σ² and C² w/σ², [B, J, P]; 0 where there
    is no image. tilt [B, J, 3, 3]; image_shift_px [B, J, 2]; shift_dim: components of a particle's shift, 2 or 3."""

    numerator: Complex[Tensor, "b j p"]
    weight: Float[Tensor, "b j p"]
    tilt: Float[Tensor, "b j 3 3"]
    image_shift_px: Float[Tensor, "b j 2"]
    lattice: Lattice
    shift_dim: int = 2

    @staticmethod
    def of(batch: Batch) -> ScoredImages:
        """The images of a batch; its poses are not looked at."""
        scaled = batch.ctf * batch.lattice.weight / batch.variance * batch.valid[..., None]
        shift = batch.image_shift / batch.pixel_size
        pixels = scaled * batch.images, scaled * batch.ctf
        return ScoredImages(*pixels, batch.tilt, shift, batch.lattice, batch.shift_dim)

    @property
    def tells_hand(self) -> bool:
        """Whether some particle was seen at two different tilts: its mirror image would have been tilted the other
        way."""
        return bool(self.tell_depth.any())

    @property
    def tell_depth(self) -> Bool[Tensor, " b"]:
        """Which particles were seen at two different tilts, so that their images tell how deep they lie."""
        seen = (self.weight > 0).any(-1)
        return (seen & (self.tilt != self.tilt[:, :1]).flatten(2).any(-1)).any(1)

    @property
    def energy(self) -> Float[Tensor, " b"]:
        """Σ w |X|²/σ² of each particle where the CTF is not 0: minus the log-likelihood of an empty volume, and so the
        most that any volume can raise it by; float64."""
        seen = self.weight > 0
        power = self.numerator.abs().double().square() / self.weight.double().clamp(min=1e-300)
        return torch.where(seen, power, 0).sum((1, 2))

    def take(self, rows: Int[Tensor, " r"]) -> ScoredImages:
        """Some particles, by their places."""
        kept = self.numerator[rows], self.weight[rows], self.tilt[rows], self.image_shift_px[rows]
        return ScoredImages(*kept, self.lattice, self.shift_dim)

    def coarser(self, band_limit: int, box: int) -> ScoredImages:
        """The same images up to a shell, in a box of fewer, larger pixels over the same field of view."""
        low = self.limit(band_limit)
        shift = self.image_shift_px * (box / self.lattice.box)
        return ScoredImages(low.numerator, low.weight, low.tilt, shift, low.lattice.in_box(box), self.shift_dim)

    def limit(self, band_limit: int) -> ScoredImages:
        """The same images up to a shell."""
        lattice = self.lattice.limit(band_limit)
        numerator, weight = self.numerator[..., : lattice.size], self.weight[..., : lattice.size]
        return ScoredImages(numerator, weight, self.tilt, self.image_shift_px, lattice, self.shift_dim)

    def log_likelihood(
        self,
        grid: Complex[Tensor, "z y x 1"],
        rotation: Float[Tensor, "b h 3 3"],
        shift_px: Float[Tensor, "b h d"],
        reach_px: float = 0.0,
    ) -> tuple[Float[Tensor, "b h"], Float[Tensor, "b h d"]]:
        """log p of H poses per particle, up to a constant, and their shifts after one step of Fisher's scoring of at
        most ``reach_px`` (the likelihood is then that of its quadratic model); float64."""
        (particles, images), found = self.tilt.shape[:2], self._correlation(grid, rotation, shift_px)
        value = (found.overlap - found.power / 2).unflatten(0, (particles, images)).sum(1)
        if reach_px <= 0:
            return value, shift_px
        seen = self.tilt[:, :, :2, : shift_px.shape[-1]].double()
        gradient = torch.einsum("bjxd,bjhx->bhd", seen, found.gradient.unflatten(0, (particles, images)))
        information = found.information[..., [[0, 1], [1, 2]]].unflatten(0, (particles, images))
        bend = torch.einsum("bjxd,bjhxy,bjye->bhde", seen, information, seen)
        step = climb_step(bend, gradient, reach_px)
        rise = (gradient * step).sum(-1) - 0.5 * torch.einsum("bhd,bhde,bhe->bh", step, bend, step)
        return value + rise, shift_px + step.to(shift_px.dtype)

    def power_and_overlap(
        self,
        grid: Complex[Tensor, "z y x 1"],
        rotation: Float[Tensor, "b h 3 3"],
        shift_px: Float[Tensor, "b h d"],
    ) -> tuple[Float[Tensor, "b h"], Float[Tensor, "b h"]]:
        """Of the volume seen at H poses per particle, float64: log p at contrast a is a overlap - a² power / 2, up to a
        constant."""
        found, shape = self._correlation(grid, rotation, shift_px), tuple(self.tilt.shape[:2])
        return found.power.unflatten(0, shape).sum(1), found.overlap.unflatten(0, shape).sum(1)

    def _correlation(self, grid: Tensor, rotation: Tensor, shift_px: Tensor) -> Correlation:
        """Every image of every particle, [B J, H]."""
        turned = image_rotations(rotation, self.tilt).transpose(1, 2).flatten(0, 1)
        moved = image_shifts(shift_px, self.tilt, self.image_shift_px).transpose(1, 2).flatten(0, 1)
        flat, box = (self.numerator.flatten(0, 1), self.weight.flatten(0, 1)), self.lattice.box
        grid = cut(grid, box, self.lattice.band_limit)
        return correlate_poses(grid, *flat, turned.contiguous(), moved.contiguous(), self.lattice.k, box)


def compare_slices(
    batch: Batch,
    grid: Complex[Tensor, "z y x 1"],
    rotation: Float[Tensor, "b 3 3"],
    shift: Float[Tensor, "b d"],
) -> tuple[Float[Tensor, "b j p"], Float[Tensor, "b j p"]]:
    """Images against slices of a volume at known poses (shift: Å), whatever their CTF and contrast: float64
    w Re(X* e^{-2πi k·t} V)/σ² and w |V|²/σ², w the lattice's weights; 0 where there is no image."""
    lattice = batch.lattice
    turned = image_rotations(rotation[:, None], batch.tilt)[:, 0]
    moved = image_shifts(shift[:, None], batch.tilt, batch.image_shift)[:, 0] / batch.pixel_size
    low = cut(grid, lattice.box, lattice.band_limit)
    points = slice_coordinates(lattice.k, turned) * (grid.shape[0] / low.shape[0])
    slices = slice_grid(low, points, low.shape[0] // 2)[..., 0]
    weight = lattice.weight / batch.variance * batch.valid[..., None]
    match = (batch.images.conj() * slices * shift_phase(lattice.k, moved)).real * weight
    return match.double(), (slices.abs().square() * weight).double()


def cut(grid: Complex[Tensor, "z y x c"], box: int, band_limit: int) -> Complex[Tensor, "a b c d"]:
    """The middle of a Fourier half grid that holds a band: less memory to walk through."""
    middle, oversampling = grid.shape[0] // 2, grid.shape[0] // box
    reach = oversampling * band_limit + _MARGIN
    reach += reach % 2
    if reach >= middle:
        return grid
    inside = slice(middle - reach, middle + reach)
    return grid[inside, inside, : reach + 1].contiguous()


def climb_step(
    information: Float[Tensor, "b h d d"], gradient: Float[Tensor, "b h d"], reach: float
) -> Float[Tensor, "b h d"]:
    """A step of Fisher's scoring, at most ``reach`` long."""
    step = _solve(information, gradient)
    return step * (reach / step.norm(dim=-1, keepdim=True).clamp(min=1e-12)).clamp(max=1)


def _solve(matrix: Float[Tensor, "b h d d"], vector: Float[Tensor, "b h d"]) -> Float[Tensor, "b h d"]:
    """matrix⁻¹ vector of many small positive matrices, a little ridge added: one that sees nothing moves nothing."""
    size = vector.shape[-1]
    ridge = 1e-6 * matrix.diagonal(dim1=-2, dim2=-1).mean(-1).clamp(min=1e-30)
    matrix = matrix + ridge[..., None, None] * torch.eye(size, dtype=matrix.dtype, device=matrix.device)
    if size == 2:  # in closed form: a batched solver costs more than the slices
        (a, b), (_, d) = (row.unbind(-1) for row in matrix.unbind(-2))
        x, y = vector.unbind(-1)
        return torch.stack([d * x - b * y, a * y - b * x], -1) / (a * d - b * b)[..., None]
    solution: Tensor = torch.linalg.solve(matrix, vector)
    return solution
