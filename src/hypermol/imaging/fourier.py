"""Centred Fourier transforms: fftshift(fftn(ifftshift(x))), unscaled forward, 1/n backward (DESIGN §2)."""

import torch
from torch import Tensor

from hypermol.errors import ConfigError
from hypermol.imaging.lattice import Lattice
from hypermol.kernels.box import require_even_box
from hypermol.shapes import Complex, Float, Num


def fft2(x: Num[Tensor, "*batch y x"]) -> Complex[Tensor, "*batch y x"]:
    """Centred transform over the last two axes."""
    return _forward(x, (-2, -1))


def ifft2(x: Num[Tensor, "*batch y x"]) -> Complex[Tensor, "*batch y x"]:
    """Inverse of ``fft2``; complex, also where the result is real."""
    return _backward(x, (-2, -1))


def fft3(x: Num[Tensor, "*batch z y x"]) -> Complex[Tensor, "*batch z y x"]:
    """Centred transform over the last three axes."""
    return _forward(x, (-3, -2, -1))


def ifft3(x: Num[Tensor, "*batch z y x"]) -> Complex[Tensor, "*batch z y x"]:
    """Inverse of ``fft3``; complex, also where the result is real."""
    return _backward(x, (-3, -2, -1))


def images_to_packed(images: Float[Tensor, "*batch d d"], lattice: Lattice) -> Complex[Tensor, "*batch p"]:
    """Transforms of real images at the points of ``lattice`` (a disc of the same box).

    Raises ConfigError where the boxes differ.
    """
    if images.shape[-1] != lattice.box:
        raise ConfigError(f"expected images of {lattice.box} px, found {images.shape[-1]} px")
    half = _rfft2(images).flatten(-2)
    return half[..., _half_plane(lattice)] * _origin_signs(lattice, images.dtype)


def packed_to_images(values: Complex[Tensor, "*batch p"], lattice: Lattice) -> Float[Tensor, "*batch d d"]:
    """Real images [..., D, D] of packed transforms: inverse of ``images_to_packed`` inside the band."""
    box, (x, y) = lattice.box, lattice.integers.unbind(-1)
    signed = values * _origin_signs(lattice, values.real.dtype)
    half = values.new_zeros((*values.shape[:-1], box * (box // 2 + 1)))
    half = half.index_copy(-1, _half_plane(lattice), signed)
    edge = torch.nonzero((x == 0) & (y > 0)).squeeze(-1)  # the x = 0 column holds both k and -k
    mirrored = torch.remainder(-y[edge], box) * (box // 2 + 1)
    half = half.index_copy(-1, mirrored, signed[..., edge].conj())
    half = half.unflatten(-1, (box, box // 2 + 1))
    if half.numel() == 0:
        return half.new_zeros((*half.shape[:-1], box)).real
    return torch.fft.irfft2(half, s=(box, box))


def fourier_crop(x: Float[Tensor, "..."], box: int, dims: int = 2) -> Float[Tensor, "..."]:
    """Resample real images (``dims=2``, [..., D, D]) or volumes (``dims=3``, [..., D, D, D]) to ``box``.

    The pixel size becomes exactly pixel_size · D / box. Values keep their meaning (the mean is preserved).
    Frequencies ±box/2 of each axis fall together and are added, as in band-limited resampling.
    Raises DataError for odd boxes, ConfigError where ``box`` is larger than D.
    """
    size = x.shape[-1]
    require_even_box(size, "images to crop")
    require_even_box(box, "new box")
    if box > size:
        raise ConfigError(f"Fourier cropping: the new box ({box} px) is larger than the images ({size} px)")
    if box == size:
        return x
    if x.numel() == 0:
        return x.new_zeros((*x.shape[:-dims], *(box,) * dims))
    axes = tuple(range(-dims, 0))
    # the origin signs (-1)^k are the same in both boxes and cancel, so no shifts are needed
    transform = torch.fft.rfftn(x, dim=axes)
    for axis in axes[:-1]:
        transform = crop_axis(transform, box // 2, axis)
    transform = transform[..., : box // 2 + 1].clone()
    transform[..., -1] *= 2  # irfft keeps the Hermitian half of this column: twice that is F(+) + F(-)
    return torch.fft.irfftn(transform, s=(box,) * dims, dim=axes) * (box / size) ** dims


def fourier_pad(x: Float[Tensor, "..."], box: int, dims: int = 2) -> Float[Tensor, "..."]:
    """Resample real images (``dims=2``) or volumes (``dims=3``) to a larger ``box``, with nothing beyond what they had.

    The pixel size becomes pixel_size · D / box; the mean is preserved; ±D/2 share what was at D/2. ``fourier_crop``
    takes it back. Raises DataError for odd boxes, ConfigError where ``box`` is smaller than D.
    """
    size = x.shape[-1]
    require_even_box(size, "images to pad")
    require_even_box(box, "new box")
    if box < size:
        raise ConfigError(f"Fourier padding: the new box ({box} px) is smaller than the images ({size} px)")
    if box == size:
        return x
    axes, half = tuple(range(-dims, 0)), size // 2
    transform = torch.fft.rfftn(x, dim=axes)
    transform[..., -1] /= 2  # the plane of D/2 stood for both of ±D/2
    for axis in axes[:-1]:
        low, nyquist = transform.narrow(axis, 0, half), transform.narrow(axis, half, 1) / 2
        high, shape = transform.narrow(axis, half + 1, half - 1), list(transform.shape)
        shape[axis] = box - size - 1
        transform = torch.cat([low, nyquist, transform.new_zeros(shape), nyquist, high], dim=axis)
    return torch.fft.irfftn(transform, s=(box,) * dims, dim=axes) * (box / size) ** dims


def fourier_resample(x: Float[Tensor, "..."], box: int, dims: int = 2) -> Float[Tensor, "..."]:
    """``fourier_crop`` to a smaller ``box``, ``fourier_pad`` to a larger one. Raises DataError for odd boxes."""
    return (fourier_crop if box <= x.shape[-1] else fourier_pad)(x, box, dims)


def rebox(volumes: Float[Tensor, "..."], box: int) -> Float[Tensor, "..."]:
    """Volumes in another ``box`` over the same field of view (larger or smaller pixels), with the same transforms where
    both have one: ``fourier_resample`` keeps the values instead. Raises DataError for odd boxes."""
    return fourier_resample(volumes, box, dims=3) * (volumes.shape[-1] / box) ** 3


def crop_axis(transform: Tensor, half: int, axis: int) -> Tensor:
    """The 2·``half`` lowest frequencies along one axis of an uncentred transform; those at ±``half`` fall together and
    are added."""
    size = transform.shape[axis]
    low = transform.narrow(axis, 0, half)
    nyquist = transform.narrow(axis, half, 1) + transform.narrow(axis, size - half, 1)
    high = transform.narrow(axis, size - half + 1, half - 1)
    return torch.cat([low, nyquist, high], dim=axis)


def _half_plane(lattice: Lattice) -> Tensor:
    """Index of each point in a flattened, uncentred rfft2 [D, D/2 + 1]."""
    x, y = lattice.integers.unbind(-1)
    return torch.remainder(y, lattice.box) * (lattice.box // 2 + 1) + x


def _origin_signs(lattice: Lattice, dtype: torch.dtype) -> Tensor:
    """(-1)^(x+y): moves the origin of the transform from index 0 to index D/2."""
    return (1 - 2 * torch.remainder(lattice.integers.sum(-1), 2)).to(dtype)


def _rfft2(images: Tensor) -> Tensor:
    if images.numel() == 0:  # MKL refuses to transform nothing
        half = images.shape[-1] // 2 + 1
        return torch.complex(images, images)[..., :half]
    return torch.fft.rfft2(images)


def _forward(x: Tensor, axes: tuple[int, ...]) -> Tensor:
    if x.numel() == 0:
        return x.to(torch.promote_types(x.dtype, torch.complex64))
    return torch.fft.fftshift(torch.fft.fftn(torch.fft.ifftshift(x, dim=axes), dim=axes), dim=axes)


def _backward(x: Tensor, axes: tuple[int, ...]) -> Tensor:
    if x.numel() == 0:
        return x.to(torch.promote_types(x.dtype, torch.complex64))
    return torch.fft.fftshift(torch.fft.ifftn(torch.fft.ifftshift(x, dim=axes), dim=axes), dim=axes)
