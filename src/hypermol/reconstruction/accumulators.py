"""What back projection adds up: CTF-weighted numerators and weights of two half sets, on Fourier half grids.

Cost that cannot be avoided: with G = (oD)²(oD/2 + 1) nodes, 48 G bytes (two halves, float64 numerator and weight:
51 MB at D = 64, 3.2 GB at D = 256), and 24 additions per image point (8 corners × 3 numbers), about 19 D² per image.
"""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from hypermol.errors import ConfigError
from hypermol.kernels import grid_shape, symmetrise_grid
from hypermol.reconstruction.shells import shell_means
from hypermol.shapes import Complex, Float


@dataclass(frozen=True, eq=False)
class Accumulators:
    """Sums over the images of each half: numerator Σ C X/σ² and weight Σ C²/σ² at each node of a half grid.

    data: [2, 3 G] float64, per half the numerators (real and imaginary parts interleaved), then the weights: one
    tensor, so that processes add and checkpoints store it as it is. box: D. Grids are [oD, oD, oD/2 + 1].
    The samples of ±k are inserted once; ``numerator`` and ``weight`` are complete after ``symmetrise``.
    """

    data: Float[Tensor, "2 n"]
    box: int
    oversampling: int = 2

    @staticmethod
    def zeros(box: int, oversampling: int = 2, device: torch.device | str | None = None) -> "Accumulators":
        """Empty accumulators. Raises DataError for an odd box."""
        size = 3 * _nodes(grid_shape(box, oversampling))
        return Accumulators(torch.zeros((2, size), dtype=torch.float64, device=device), box, oversampling)

    @staticmethod
    def view(data: Float[Tensor, "2 n"], box: int, oversampling: int = 2) -> "Accumulators":
        """Accumulators on an existing tensor. Raises ConfigError where it does not fit the box."""
        expected = (2, 3 * _nodes(grid_shape(box, oversampling)))
        if tuple(data.shape) != expected:
            raise ConfigError(
                f"back projection sums: expected shape {expected} for a box of {box} px at oversampling "
                f"{oversampling}, found {tuple(data.shape)}"
            )
        return Accumulators(data, box, oversampling)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(oD, oD, oD/2 + 1)."""
        return grid_shape(self.box, self.oversampling)

    def numerator(self, half: int) -> Complex[Tensor, "z y x"]:
        """Σ C X/σ² of one half: a view."""
        nodes = _nodes(self.shape)
        return torch.view_as_complex(self.data[half, : 2 * nodes].view(*self.shape, 2))

    def weight(self, half: int) -> Float[Tensor, "z y x"]:
        """Σ C²/σ² of one half: a view."""
        return self.data[half, 2 * _nodes(self.shape) :].view(self.shape)

    @cached_property
    def mean_weight(self) -> Float[Tensor, "2 s"]:
        """Mean of Σ C²/σ² over each shell 0 … D/2 - 1 of each half; once the sums are complete."""
        first, second = self.weight(0), self.weight(1)
        return shell_means(lambda slab: torch.stack([first[slab], second[slab]]), self.box, self.oversampling)

    def symmetrise(self) -> "Accumulators":
        """The x = 0 plane, which holds both k and -k, made whole: in place. Once, after the last insertion."""
        for half in range(2):
            for grid in (self.numerator(half), self.weight(half)):
                plane = grid[:, :, :1]
                plane.copy_(symmetrise_grid(plane[..., None])[..., 0])
        return self


def _nodes(shape: tuple[int, int, int]) -> int:
    return shape[0] * shape[1] * shape[2]
