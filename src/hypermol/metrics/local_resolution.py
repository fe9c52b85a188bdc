"""Local resolution: the FSC of two half maps in a window around each voxel."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from hypermol.errors import ConfigError, DataError
from hypermol.kernels.box import require_even_box
from hypermol.maps import soft_sphere
from hypermol.shapes import Float


def local_resolution(
    first: Float[Tensor, "d d d"],
    second: Float[Tensor, "d d d"],
    pixel_size: float,
    mask: Float[Tensor, "d d d"] | None = None,
    threshold: float = 0.5,
    radius: float = 25.0,
    width: float | None = None,
) -> Float[Tensor, "d d d"]:
    """Å at which the FSC of two half maps in a window at each voxel first falls below ``threshold``.

    Cardone, Heymann & Steven 2013 (threshold 0.5), with each window's FSC summed in real space from maps filtered to
    one band after the other: the whole map costs three windowed sums a shell. radius: Å from the window's centre to
    where its soft edge begins (at least 5 pixels); the edge is half as wide again. width: half width of a band in
    shells; default what the window itself resolves, D·pixel/(2·radius), at least 1: a finer band would reach far
    beyond the window.

    Infinite where already the first shell is below (nothing is resolved), the shell before Nyquist's where the curve
    never falls, not a number where ``mask`` is below 0.5. The two maps enter unmasked and unfiltered. Raises DataError
    for maps of different or odd boxes, ConfigError for lengths or a threshold that make no sense.
    """
    box = require_even_box(first.shape[-1], "local resolution")
    if first.shape != second.shape:
        raise DataError(f"local resolution: maps of {tuple(first.shape)} and {tuple(second.shape)}")
    if not (pixel_size > 0 and radius > 0 and 0 < threshold < 1):
        raise ConfigError(
            f"local resolution: expected a pixel size and a radius above 0 Å and a threshold between 0 and 1, "
            f"found {pixel_size}, {radius}, {threshold}"
        )
    wide = max(1.0, box * pixel_size / (2 * radius)) if width is None else width
    window = _window(box, max(radius / pixel_size, 5.0)).to(first)
    inside = torch.ones_like(first, dtype=torch.bool) if mask is None else mask >= 0.5
    crossing = _first_crossing(local_fsc(first, second, window, wide), first, threshold, inside)
    found = box * pixel_size / crossing.clamp(max=box // 2 - 1)
    if mask is not None:
        found = torch.where(inside, found, torch.full_like(found, math.nan))
    return found


def local_fsc(
    first: Float[Tensor, "d d d"], second: Float[Tensor, "d d d"], window: Float[Tensor, "d d d"], width: float = 0.0
) -> Iterator[Float[Tensor, "d d d"]]:
    """FSC in ``window`` (its origin at index 0 of every axis) around each voxel, for shells 1 … D/2 - 1 in turn.

    A band is cos² in |k| D, zero ``width`` shells from its centre, of transforms brought to equal power in every
    shell, lest a strong shell speak for its weak neighbours. Width 0: one shell alone; then a window that covers the
    whole box evenly gives ``fsc``. Where the window holds nothing the value is 0.
    """
    box = first.shape[-1]
    radius, spectrum = _radius(box).to(first.device), torch.fft.rfftn(window)
    spectra = [_whitened(torch.fft.rfftn(map_), radius.round().long()) for map_ in (first, second)]
    for shell in range(1, box // 2):
        band = _band(radius, shell, width).to(first.dtype)
        a, b = (torch.fft.irfftn(s * band, s=first.shape) for s in spectra)
        products = torch.fft.rfftn(torch.stack([a * b, a * a, b * b]), dim=(1, 2, 3)) * spectrum
        cross, one, two = torch.fft.irfftn(products, s=first.shape, dim=(1, 2, 3)).unbind(0)
        norm = (one.clamp(min=0) * two.clamp(min=0)).sqrt()
        floor = max(1e-6 * float(norm.max()), 1e-30)  # what a convolution's rounding leaves is not density
        yield torch.where(norm > floor, cross / norm.clamp(min=floor), torch.zeros_like(norm))


def _whitened(spectrum: Tensor, shell: Tensor) -> Tensor:
    """A transform [D, D, D/2 + 1] over the rms of its shell; shells of mere rounding, and shell 0, become 0."""
    numbers, power = shell.flatten(), spectrum.abs().square().flatten().double()
    count = int(numbers.max()) + 1
    mean = power.new_zeros(count).index_add(0, numbers, power) / torch.bincount(numbers, minlength=count)
    rms = mean.sqrt()
    rms[0] = 0
    factor = torch.where(rms > 1e-6 * rms.max(), 1 / rms.clamp(min=1e-30), torch.zeros_like(rms))
    return spectrum * factor[shell].to(spectrum.real.dtype)


def _band(radius: Tensor, shell: int, width: float) -> Tensor:
    if width <= 0:
        return radius.round() == shell
    return torch.cos((torch.pi / 2 * (radius - shell) / width).clamp(-torch.pi / 2, torch.pi / 2)) ** 2


def _first_crossing(curves: Iterator[Tensor], like: Tensor, threshold: float, inside: Tensor) -> Tensor:
    """Shell at which each voxel's curve first falls below, linear between shells: 0 at shell 1, infinite if never; no
    shell is looked at once all voxels ``inside`` have fallen."""
    crossing = torch.full_like(like, math.inf)
    before = torch.ones_like(like)
    for shell, now in enumerate(curves, start=1):
        falls = (now < threshold) & crossing.isinf()
        exact = (
            shell - 1 + (before - threshold) / (before - now).clamp(min=1e-12) if shell > 1 else torch.zeros_like(now)
        )
        crossing, before = torch.where(falls, exact, crossing), now
        if not bool(crossing[inside].isinf().any()):
            break
    return crossing


def _window(box: int, radius_px: float) -> Tensor:
    """A soft sphere with its centre at index 0 (periodic), cut where it would overlap itself."""
    sphere = soft_sphere(box, radius_px, radius_px / 2, torch.float64)
    return torch.fft.ifftshift(sphere / sphere.sum())


def _radius(box: int) -> Tensor:
    """|k| D on the rfftn layout, float64."""
    axis, half = torch.fft.fftfreq(box, 1 / box, dtype=torch.float64), torch.arange(box // 2 + 1, dtype=torch.float64)
    return (axis[:, None, None] ** 2 + axis[:, None] ** 2 + half**2).sqrt()
