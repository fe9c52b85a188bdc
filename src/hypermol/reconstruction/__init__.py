"""Closed-form maps from images: back projection, half maps, Wiener filter, FSC."""

from hypermol.reconstruction.accumulators import Accumulators
from hypermol.reconstruction.bend import CURVED, bend_agreement, bend_insertion
from hypermol.reconstruction.classes import ClassInsertion, ClassSums, difference_power
from hypermol.reconstruction.column_choice import chosen_columns, variance_insertion
from hypermol.reconstruction.columns import ColumnInsertion, ColumnSums, regularised_columns, residual
from hypermol.reconstruction.consensus import Batches, ConsensusMaps, consensus, form_maps, molecule_mask
from hypermol.reconstruction.curves import HalfMapCurves, first_below, half_map_curves
from hypermol.reconstruction.image_moments import ImageMoments
from hypermol.reconstruction.insertion import Insertion, insertion
from hypermol.reconstruction.linear import LinearInsertion, LinearSums
from hypermol.reconstruction.moment_inversion import Inverted, MomentInversion
from hypermol.reconstruction.principal import ordered, power_from_fsc, turned_alike, whitened
from hypermol.reconstruction.reduced import ReducedCovariance, pair_totals, subspace
from hypermol.reconstruction.regression import (
    LEAST_PARTICLES,
    RegressionMap,
    nearest,
    neighbour_sizes,
    nested_half_maps,
    regression_map,
    sizes_within,
)
from hypermol.reconstruction.rigid import without_rigid_motion
from hypermol.reconstruction.rings import RingMap, Rings
from hypermol.reconstruction.shells import Profile, extended, profile_volume, shell_mean, shell_means
from hypermol.reconstruction.support import fourier_gain, masked_within_gain, real_space_gain
from hypermol.reconstruction.viewing import ViewingSphere
from hypermol.reconstruction.wiener import EMPTY_FRACTION, half_map, signal_power, weighted_map, wiener_map
