"""The setting ``mask`` of methods on Fourier grids: "auto", "sphere", or a map file (a focus mask)."""

from torch import Tensor

from hypermol.errors import ConfigError
from hypermol.imaging import fourier_crop
from hypermol.maps import centred_sphere, read_map

SHAPES = ("auto", "sphere")


def first_mask(mask: str, box: int) -> Tensor:
    """The mask [D, D, D] before any map is known. Raises ConfigError where a given one has another box."""
    return centred_sphere(box) if mask in SHAPES else given_mask(mask, box, box)


def given_mask(path: str, expected: int, box: int) -> Tensor:
    """The map file ``path`` as a mask in ``box``. Raises ConfigError where its box is not the ``expected`` one."""
    mask, _ = read_map(path)
    if mask.shape[-1] != expected:
        raise ConfigError(f"mask: {path} has a box of {mask.shape[-1]} px, expected the images' {expected} px")
    return fourier_crop(mask.float(), box, dims=3).clamp(0, 1)
