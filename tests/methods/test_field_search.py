"""Poses searched against a family of volumes: the sampled map at each cluster of z is the family's own map there."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from hypermol.conformations import LatentTableEstimator
from hypermol.engine import State
from hypermol.engine.gradient import initial_tensors
from hypermol.imaging import geodesic_angle_deg
from hypermol.kernels import slice_grid, volume_to_grid
from hypermol.methods.field_search import FieldSearch, clustered, k_means
from hypermol.particles import ImageSource, read_particles
from hypermol.poses import ScoredImages, SearchedPose, search_poses
from hypermol.posteriors import Hypotheses
from hypermol.simulation import Recipe, Truth, simulate
from hypermol.testing import small_context
from hypermol.volumes import Volume

POSE = SearchedPose(kept=12, polish=0, shift_range=0.1)


class TwoMaps(Volume):
    """The first map where z < 0, else the second, times a parameter."""

    def __init__(self, maps: torch.Tensor) -> None:
        super().__init__()
        self.box, self.z_dim = maps.shape[-1], 1
        self.scale = torch.nn.Parameter(torch.ones(()))
        self.grids = [volume_to_grid(map_) for map_ in maps]

    def values(self, k: torch.Tensor, z: torch.Tensor | None) -> torch.Tensor:
        grid = self.grids[int(z is not None and bool(z[0, 0] > 0))]
        return slice_grid(grid, k, self.box)[..., 0] * self.scale


@pytest.fixture(scope="module", params=[(0.0,), (0.0, 45.0)], ids=["one image", "tilt pair"])
def problem(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """Two arrangements of a hinge, 30 particles each."""
    folder = tmp_path_factory.mktemp("two") / "data"
    recipe = Recipe(name="hinge", n=60, box=32, snr=2.0, seed=5, levels=2, shift_px=1.5, tilts_deg=request.param)
    simulate(recipe, folder)
    truth, source = Truth.load(folder), ImageSource(read_particles(folder / "particles.star"))
    batch = next(iter(source.stream([torch.arange(60)])))
    ends = [int(np.flatnonzero(truth.state == state)[0]) for state in (0, 1)]
    maps = torch.stack([truth.map(end).float() for end in ends])
    maps = maps * _strength(batch, truth, maps)
    model = SimpleNamespace(volume=TwoMaps(maps), conformation=LatentTableEstimator(), misfit=None)
    z = torch.from_numpy(np.where(truth.state == 0, -1.0, 1.0)).float()[:, None]
    state = State(initial_tensors(torch.nn.ModuleDict({"volume": model.volume})), {"z": z})
    return SimpleNamespace(truth=truth, batch=batch, maps=maps, model=model, state=clustered(state, 2, 0))


def _strength(batch, truth: Truth, maps: torch.Tensor) -> float:
    """By what reading has scaled the images: least squares at the true poses, of the first state."""
    rows = torch.nonzero(torch.from_numpy(truth.state == 0))[:, 0]
    images, grid = ScoredImages.of(batch.take(rows)), volume_to_grid(maps[0])
    at = batch.rotation[rows][:, None], (batch.shift[rows] / batch.pixel_size)[:, None]
    once, twice = (float(images.log_likelihood(factor * grid, *at)[0].sum()) for factor in (1.0, 2.0))
    power = 2 * once - twice  # of a overlap - a² power/2 at a = 1 and 2
    return (once + power / 2) / power


def test_what_is_found_is_what_a_search_of_each_map_finds(problem: SimpleNamespace) -> None:
    """Each particle against its own cluster's map: on the small grid of the band, as on the grid of the whole box."""
    batch, band = problem.batch, 11
    found = FieldSearch(problem.model, POSE, 32, band)(problem.state, batch, None)
    for which in (0, 1):
        rows = torch.nonzero(problem.state.table["z"][:, 0] * (2 * which - 1) > 0)[:, 0]
        images = ScoredImages.of(batch.take(rows)).limit(band)
        direct = search_poses(images, volume_to_grid(problem.maps[which]), POSE.levels(band))
        off = geodesic_angle_deg(found["rotation"][rows], direct.rotation[:, 0])
        assert float((off < 4.0).float().mean()) > 0.9
        moved = (found["shift"][rows] / batch.pixel_size - direct.shift_px[:, 0]).norm(dim=1)
        assert float(moved.median()) < 0.05
    true = torch.from_numpy(problem.truth.rotation).float()
    assert float(geodesic_angle_deg(found["rotation"], true).median()) < 3.0
    assert float((found["shift"] - batch.shift).norm(dim=1).median()) < 0.3 * batch.pixel_size


def test_polishing_brings_poses_nearer(problem: SimpleNamespace) -> None:
    true, errors = torch.from_numpy(problem.truth.rotation).float(), []
    for polish in (0, 3):
        pose = SearchedPose(kept=12, polish=polish, shift_range=0.1)
        found = FieldSearch(problem.model, pose, 32, 15)(problem.state, problem.batch, None)
        errors.append(float(geodesic_angle_deg(found["rotation"], true).median()))
    assert errors[1] < errors[0]


class ToldPoses(torch.nn.Module):
    """z is what the pose that it is shown says: the rotation's first number and the shift's."""

    def forward(self, batch, pose: Hypotheses, draws, rows) -> Hypotheses:
        if pose.rotation is None:
            return Hypotheses(z=batch.images.real.new_zeros(batch.size, 1, 2))
        return Hypotheses(z=torch.cat([pose.rotation[..., 0, :1], pose.shift[..., :1]], -1))


def test_an_encoder_is_shown_the_poses_of_the_last_search(problem: SimpleNamespace) -> None:
    """Each particle goes to the cluster that its own last pose says; before any search to that of no pose."""
    batch, true = problem.batch, torch.from_numpy(problem.truth.rotation).float()
    model = SimpleNamespace(volume=problem.model.volume, conformation=ToldPoses(), pose=POSE.build(small_context(32)))
    search = FieldSearch(model, POSE, 32, 11)
    told = torch.stack([true[:, 0, 0], batch.shift[:, 0]], -1)
    tensors = {**problem.state.tensors, "centres": torch.cat([torch.zeros(1, 2), told])}
    found = State(tensors, {"rotation": true, "shift": batch.shift})
    assert search.clusters(found, batch, None)[0].tolist() == list(range(1, 61))
    assert search.clusters(State(tensors, {}), batch, None)[0].tolist() == [0] * 60


def test_centres_are_where_points_crowd() -> None:
    draw = np.random.default_rng(0)
    true = np.array([[0.0, 0.0], [5.0, 0.0], [0.0, 5.0]])
    points = (true[draw.integers(0, 3, 900)] + 0.2 * draw.normal(size=(900, 2))).astype(np.float32)
    centres = k_means(points, 3, 1)
    assert np.abs(centres[:, None] - true).sum(-1).min(0).max() < 0.1
    np.testing.assert_array_equal(centres, k_means(points, 3, 1))
    assert len(k_means(np.zeros((40, 2), np.float32), 5, 0)) >= 1
    assert len(k_means(points[:2], 5, 0)) <= 2
