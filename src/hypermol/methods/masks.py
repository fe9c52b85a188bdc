"""The setting ``mask`` of methods on Fourier grids: "auto", "sphere", or a map file (a focus mask)."""

import dataclasses
from pathlib import Path
from typing import Any

from torch import Tensor

from hypermol.errors import ConfigError
from hypermol.imaging import fourier_crop
from hypermol.maps import centred_sphere, read_map

SHAPES = ("auto", "sphere")
UNEQUAL = 0.01
"""Pixel sizes that differ by less are taken to be the same, rounded."""


def first_mask(mask: str, box: int) -> Tensor:
    """The mask [D, D, D] before any map is known. Raises ConfigError where a given one has another box."""
    return centred_sphere(box) if mask in SHAPES else given_mask(mask, box, box)


def settled_mask(method: Any, box: int, pixel_size: float) -> Any:
    """The method with its mask's full path (a run may be resumed from another folder), looked at before long work.

    Raises DataError where the file is no map, ConfigError where its box or pixel size (Å) is not that of the images.
    """
    mask = getattr(method, "mask", None)
    if mask is None or mask in SHAPES:
        return method
    _, found = _in_box(mask, box)
    if abs(found / pixel_size - 1) > UNEQUAL:
        raise ConfigError(f"mask: {mask} has {found:.4g} Å per pixel, expected the images' {pixel_size:.4g} Å")
    return dataclasses.replace(method, mask=str(Path(mask).resolve()))


def given_mask(path: str, expected: int, box: int) -> Tensor:
    """The map file ``path`` as a mask in ``box``. Raises ConfigError where its box is not the ``expected`` one."""
    return fourier_crop(_in_box(path, expected)[0].float(), box, dims=3).clamp(0, 1)


def _in_box(path: str, expected: int) -> tuple[Tensor, float]:
    mask, pixel_size = read_map(path)
    if mask.shape[-1] != expected:
        raise ConfigError(f"mask: {path} has a box of {mask.shape[-1]} px, expected the images' {expected} px")
    return mask, pixel_size
