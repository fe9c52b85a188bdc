"""Volumes as oversampled Fourier half grids [oD, oD, oD/2 + 1, C]: z, y centred, x ≥ 0, channels last.

Trilinear interpolation on a grid of spacing 1/(oD) convolves the transform with a triangle, which multiplies
real space by sinc²(r/(oD)) along each axis. It is undone once, in real space: before a volume is put on a
grid to be sliced, and after a grid that samples were inserted into (and divided by their weights) comes back.
"""

import torch
from torch import Tensor

from hypermol.errors import ConfigError
from hypermol.kernels.box import require_even_box
from hypermol.shapes import Complex, Float, Shaped


def volumes_to_grid(volumes: Float[Tensor, "c d d d"], oversampling: int = 2) -> Complex[Tensor, "z y x c"]:
    """Grid whose slices are the transforms of the projections of C volumes [C, D, D, D] (unscaled).

    Raises DataError for an odd box.
    """
    box = require_even_box(volumes.shape[-1], "volume")
    margin = (oversampling - 1) * box // 2
    padded = torch.nn.functional.pad(volumes / _gridding(box, oversampling, volumes), (margin,) * 6)
    transform = torch.fft.rfftn(torch.fft.ifftshift(padded, dim=(-3, -2, -1)), dim=(-3, -2, -1))
    return torch.fft.fftshift(transform, dim=(-3, -2)).movedim(0, -1).contiguous()


def volumes_to_grids(volumes: Float[Tensor, "c d d d"], oversampling: int = 2) -> Complex[Tensor, "c z y x 1"]:
    """The same as C grids of one channel, for slices at other points of each: little work that is done often.

    Half a turn of an axis is a change of every other sign of its transform, so that nothing is copied to be shifted.
    Raises DataError for an odd box.
    """
    box = require_even_box(volumes.shape[-1], "volume")
    margin, size = (oversampling - 1) * box // 2, oversampling * box
    inside, outside = _alternating(box, volumes), _alternating(size, volumes)
    scale = inside[:, None, None] * inside[:, None] / _gridding(box, oversampling, volumes)
    transform = torch.fft.rfftn(torch.nn.functional.pad(volumes * scale, (margin,) * 6), dim=(-3, -2, -1))
    signs = outside[:, None, None] * outside[:, None] * outside[: size // 2 + 1]
    return (transform * signs)[..., None]


def volume_to_grid(volume: Float[Tensor, "d d d"], oversampling: int = 2) -> Complex[Tensor, "z y x 1"]:
    """``volumes_to_grid`` of one volume [D, D, D]."""
    return volumes_to_grid(volume[None], oversampling)


def grid_to_volumes(grid: Complex[Tensor, "z y x c"], box: int) -> Float[Tensor, "c d d d"]:
    """C volumes of a grid of weighted averages of inserted samples: transform, crop, divide by sinc².

    Raises ConfigError where the grid is no whole multiple of ``box``.
    """
    volumes, oversampling = _cropped(grid, box)
    return volumes / _gridding(box, oversampling, volumes)


def grid_to_volume(grid: Complex[Tensor, "z y x 1"], box: int) -> Float[Tensor, "d d d"]:
    """``grid_to_volumes`` of a grid with one channel."""
    return grid_to_volumes(grid, box)[0]


def sliced_grid_to_volumes(grid: Complex[Tensor, "z y x c"], box: int) -> Float[Tensor, "c d d d"]:
    """C volumes whose projections the slices of the grid are: transform, crop, *multiply* by sinc².

    Exact inverse of ``volumes_to_grid``; for grids that were fitted through ``slice_grid``, not averaged.
    """
    volumes, oversampling = _cropped(grid, box)
    return volumes * _gridding(box, oversampling, volumes)


def symmetrise_grid(grid: Shaped[Tensor, "z y x c"]) -> Shaped[Tensor, "z y x c"]:
    """Add to the x = 0 plane its mirrored conjugate (complex values or real weights), as if each inserted
    sample had also been inserted at -k. Call once, after the last insertion; a new tensor."""
    plane = grid[:, :, 0]
    mirrored = torch.roll(plane.flip((0, 1)), (1, 1), (0, 1)).conj()
    return torch.cat([(plane + mirrored)[:, :, None], grid[:, :, 1:]], dim=2)


def grid_shape(box: int, oversampling: int = 2) -> tuple[int, int, int]:
    """(oD, oD, oD/2 + 1). Raises DataError for an odd box."""
    size = oversampling * require_even_box(box)
    return size, size, size // 2 + 1


def _cropped(grid: Tensor, box: int) -> tuple[Tensor, int]:
    oversampling = max(1, grid.shape[0] // box)
    size = grid_shape(box, oversampling)
    if tuple(grid.shape[:3]) != size:
        raise ConfigError(
            f"a grid of shape {tuple(grid.shape[:3])} does not belong to a box of {box} px: "
            f"expected {size} at oversampling {oversampling}"
        )
    half = torch.fft.ifftshift(grid.movedim(-1, 0), dim=(-3, -2))
    padded = torch.fft.irfftn(half, s=(size[0],) * 3, dim=(-3, -2, -1))
    start = (size[0] - box) // 2
    inside = slice(start, start + box)
    return torch.fft.fftshift(padded, dim=(-3, -2, -1))[:, inside, inside, inside], oversampling


def _gridding(box: int, oversampling: int, like: Tensor) -> Tensor:
    axis = torch.arange(box, dtype=torch.float64) - box // 2
    profile = (torch.sinc(axis / (oversampling * box)) ** 2).to(like)
    return profile[:, None, None] * profile[:, None] * profile


def _alternating(count: int, like: Tensor) -> Tensor:
    return (1 - 2 * (torch.arange(count) % 2)).to(like)
