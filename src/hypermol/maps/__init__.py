"""What one does to a real-space map: read, write, mask, filter, align."""

from hypermol.maps.align import MapAlignment, align_maps, other_hand, refine_alignment, transform_map
from hypermol.maps.files import read_map, write_map
from hypermol.maps.filter import apply_b_factor, filtered, low_pass
from hypermol.maps.lay_still import StillFrames, laid_still
from hypermol.maps.mask import automatic_mask, centred_sphere, otsu_threshold, soft_sphere
from hypermol.maps.resize import resized
from hypermol.maps.rigid_fields import rigid_fields
from hypermol.maps.symmetry_axes import SymmetryAxes, find_symmetry_axes, symmetry_agreement
