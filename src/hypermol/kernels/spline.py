"""Values and slopes of a cubic B-spline between the nodes of a cube of complex coefficients.

Cost that cannot be avoided, per point: 64 complex coefficients read, 84 products of one with a weight for the value and
108 more for the slopes. numba on the CPU, torch elsewhere.
"""

from torch import Tensor

from hypermol.kernels import spline_reference as reference
from hypermol.kernels.compiled import as_array, compiled_runs, loops
from hypermol.shapes import Complex, Float


def spline_values(
    coefficients: Complex[Tensor, "s s s"], places: Float[Tensor, "p 3"]
) -> tuple[Complex[Tensor, " p"], Complex[Tensor, "p 3"]]:
    """The spline with ``coefficients`` [z, y, x] at ``places`` (x, y, z in nodes, the first being 0), and its slope
    along x, y and z per node. NaN where a place has not two nodes on either side, 1 ≤ place < S - 2. Not
    differentiable.
    """
    if not compiled_runs(coefficients, places):
        return reference.spline_values(coefficients, places)
    values = coefficients.new_empty(len(places))
    slopes = coefficients.new_empty(len(places), 3)
    arrays = as_array(coefficients), as_array(places.to(coefficients.real.dtype))
    loops("spline").spline_values(*arrays, values.numpy(), slopes.numpy())
    return values, slopes
