"""Columns of the covariance of volumes, Σ(·, ξ) = E[δV(·) δV(ξ)*], as weighted back projections of residual images.

By the Fourier slice theorem an image whose slice passes near ξ sees the pair (k, ξ) for each k of its slice. With
residual numerators n = w C (X - C P μ) and weights w C² (w = lattice weight / σ²), K a cone of half-width ``width``
around ξ, and for each image b = Σ_p K(p) n_p and W = Σ_p K(p) w C²_p, the least-squares estimate of Σ(k, ξ) is the
back projection of n b* - (noise of the pixels in K) over that of w C² W (Gilles & Singer 2025, PNAS 122:e2419140122).

A record of five numbers per node: n b* as two Hermitian functions (those of n Re b and n Im b, real and imaginary
parts), then the weight: Σ(·, ξ) is the first less i times the second. numba on the CPU, triton on a GPU,
torch elsewhere.

Cost that cannot be avoided: a slice passes within ``width`` of a ξ at distance r in a share ``width``/r of the images,
and each of those reads and writes 8 corners of 20 bytes per image point.
"""

import torch
from torch import Tensor

from hypermol.errors import ConfigError
from hypermol.kernels import columns_reference as reference
from hypermol.kernels.checks import check_images, check_in_place
from hypermol.kernels.compiled import as_array, compiled_runs, loops, on_gpu, triton_runs
from hypermol.kernels.grid import grid_shape
from hypermol.kernels.visiting_order import visiting_order
from hypermol.shapes import Complex, Float, Int

RECORD = 5
"""Numbers per node: two complex numerators and a weight."""


def insert_columns(
    numerator: Complex[Tensor, "n p"],
    weight: Float[Tensor, "n p"],
    rotation: Float[Tensor, "n 3 3"],
    half: Int[Tensor, " n"],
    places: Float[Tensor, "m 3"],
    width: float,
    k: Float[Tensor, "p 2"],
    box: int,
    out: Float[Tensor, "h m z y x f"],
    oversampling: int = 1,
) -> None:
    """Add to ``out[half, m]``, in place, what each image says of the column at ``places[m]``; one of ±k is filled.

    places: ξ as (x, y, z) in shells (cycles per box), farther than ``width`` (shells) from the origin. k: whole shells
    over ``box``. The same bits for any number of threads; what is not finite, or beyond the grid, inserts nothing.
    Raises ConfigError where ``out`` does not fit or a place is too near the origin.
    """
    expected = (len(places), *grid_shape(box, oversampling), RECORD)
    if tuple(out.shape[1:]) != expected:
        raise ConfigError(f"sums of columns: expected [halves, {expected}], found {tuple(out.shape)}")
    if len(places) and float(places.norm(dim=1).min()) <= width:
        raise ConfigError(f"columns of a covariance must lie farther than {width} shells from the origin")
    check_images(numerator, weight, rotation, k)
    check_in_place(out)
    if not compiled_runs(numerator, weight, rotation, out):
        run = on_gpu("columns") if triton_runs(numerator, weight, rotation, half, k, out) else reference
        run.insert_columns(numerator, weight, rotation, half, places, width, k, box, out, oversampling)
        return
    pixels = torch.round(k.double() * box).long()
    arrays = [as_array(t) for t in (numerator, weight, rotation)]
    arrays += [visiting_order(rotation), as_array(half)]
    number = arrays[1].dtype.type
    near = as_array(places.double()), float(width), as_array(reference.pixel_table(pixels))
    size = number(box * oversampling)
    loops("columns").insert_columns(*arrays, *near, as_array(k), size, out.numpy())
