"""Maps in another box with other pixels: what a reference from elsewhere needs before it is compared with images."""

import torch
from torch.nn.functional import pad

from hypermol.errors import DataError
from hypermol.imaging import rebox
from hypermol.shapes import Float

_SAME_PIXEL = 0.01


def at_most(map_: Float[torch.Tensor, "d d d"], box: int) -> Float[torch.Tensor, "b b b"]:
    """The map as it is, or, of more than ``box`` pixels, resampled to so many of the same extent."""
    return map_ if map_.shape[-1] <= box else rebox(map_, box)


def resized(
    map_: Float[torch.Tensor, "d d d"], pixel_size: float, box: int, new_pixel_size: float
) -> Float[torch.Tensor, "b b b"]:
    """The map with (to 1 %) pixels of ``new_pixel_size`` Å in a ``box``, its centre where it was: resampled in Fourier
    space, then cut or padded with zeros. Densities are per voxel, as images' are.

    Raises DataError for odd boxes and sizes that are not positive, or where no even box brings the pixels near enough.
    """
    if min(pixel_size, new_pixel_size) <= 0:
        raise DataError(f"map: expected pixels of a positive size, found {pixel_size:g} and {new_pixel_size:g} Å")
    old = map_.shape[-1]
    between = 2 * round(old * pixel_size / new_pixel_size / 2)
    if between < 2 or abs(old * pixel_size / (between * new_pixel_size) - 1) > _SAME_PIXEL:
        raise DataError(
            f"a map of {old} px of {pixel_size:.4g} Å cannot be brought to pixels of {new_pixel_size:.4g} Å; pad it"
        )
    found = map_ if between == old else rebox(map_, between)
    room = (box - between) // 2
    return pad(found, (room,) * 6)
