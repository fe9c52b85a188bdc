"""The image formation model: lattices, transforms, rotations, SO(3) grids, shifts, CTF, noise, likelihood."""

from hypermol.imaging.ctf import CTF, wavelength
from hypermol.imaging.forward import apply_optics, slice_coordinates
from hypermol.imaging.fourier import (
    crop_axis,
    fft2,
    fft3,
    fourier_crop,
    fourier_pad,
    fourier_resample,
    ifft2,
    ifft3,
    images_to_packed,
    packed_to_images,
    rebox,
)
from hypermol.imaging.in_plane import in_plane_angle, turned_images
from hypermol.imaging.lattice import Lattice
from hypermol.imaging.likelihood import gaussian_nll
from hypermol.imaging.noise import corner_spectrum, per_pixel, radial_mean
from hypermol.imaging.plane_symmetries import HALF_TURN, QUARTER_TURN, REFLECTION, in_space, moved_images
from hypermol.imaging.rotations import (
    euler_to_matrix,
    geodesic_angle_deg,
    matrix_to_euler,
    matrix_to_quaternion,
    matrix_to_rotvec,
    mirror,
    quaternion_to_matrix,
    random_rotations,
    rotvec_to_matrix,
    s2s2_to_matrix,
    viewing_direction,
)
from hypermol.imaging.several_images import image_rotations, image_shifts
from hypermol.imaging.shifts import shift_phase
from hypermol.imaging.so3_grid import directions, rotations_at, so3_grid, spacing_deg, subdivide
from hypermol.imaging.symmetry import asymmetric_cells, symmetry_generators, symmetry_rotations
