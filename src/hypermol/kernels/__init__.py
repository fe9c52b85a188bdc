"""The few kernels that carry the cost, on plain arrays: slice ⇄ insert on Fourier grids, singly and in moments."""

from hypermol.kernels.box import require_even_box
from hypermol.kernels.columns import insert_columns
from hypermol.kernels.correlate import Correlation, correlate_poses
from hypermol.kernels.dispatch import insert_grid, slice_grid, slice_grids
from hypermol.kernels.grid import (
    grid_shape,
    grid_to_volume,
    grid_to_volumes,
    sliced_grid_to_volumes,
    symmetrise_grid,
    volume_to_grid,
    volumes_to_grid,
    volumes_to_grids,
)
from hypermol.kernels.moments import insert_moments, record_size, slice_moments, solve_moments, symmetrise_moments
from hypermol.kernels.separate import insert_separate, slice_separate, symmetrise_separate
from hypermol.kernels.spline import spline_values
