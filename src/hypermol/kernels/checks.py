"""What a kernel refuses before it touches memory: a wrong shape would read or write beyond an array."""

from torch import Tensor

from hypermol.errors import ConfigError


def check_images(numerator: Tensor, weight: Tensor, rotation: Tensor, k: Tensor) -> None:
    """Raises ConfigError unless numerators and weights are [images, points]."""
    expected = (len(rotation), len(k))
    if tuple(numerator.shape) != expected or tuple(weight.shape) != expected:
        found = f"{tuple(numerator.shape)} and {tuple(weight.shape)}"
        raise ConfigError(f"images: expected numerators and weights of shape {expected}, found {found}")


def check_in_place(*sums: Tensor) -> None:
    """Raises ConfigError for sums that are a strided view: what is added to a copy of them would be lost."""
    for total in sums:
        if not total.is_contiguous():
            raise ConfigError(f"sums of shape {tuple(total.shape)} must be contiguous; found strides {total.stride()}")
