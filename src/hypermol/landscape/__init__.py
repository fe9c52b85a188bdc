"""What z says: principal components, clusters, paths, maps along them, and leakage."""

from hypermol.landscape.analysis import BENT_ENERGY, PATHS, Landscape, LandscapeSettings, analyze
from hypermol.landscape.basins import EnergyPath, States, basins, lowest_energy_path, nearest_states
from hypermol.landscape.clusters import Clusters, class_clusters, density_clusters, kmeans_clusters
from hypermol.landscape.components import PrincipalComponents, principal_components
from hypermol.landscape.decoded import Decode, decoded
from hypermol.landscape.density import Density, Grid, deconvolved, density_grid
from hypermol.landscape.embedding import Embedding, embed
from hypermol.landscape.energy import EnergyLandscape, energy_landscape
from hypermol.landscape.energy_files import energy_picture
from hypermol.landscape.files import load_landscape, read_maps, save_landscape, write_maps
from hypermol.landscape.from_run import landscape_of
from hypermol.landscape.latent import Latent, check_latent
from hypermol.landscape.leakage import Leakage, measure_leakage
from hypermol.landscape.observations import Observations, calibration_notes, coverage, observations
from hypermol.landscape.paths import Trajectory, component_path, graph_path, nearest_particles, straight_path
