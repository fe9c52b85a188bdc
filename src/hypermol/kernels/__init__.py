"""The few kernels that carry the cost, on plain arrays: slice ⇄ insert on Fourier grids."""

from hypermol.kernels.box import require_even_box
