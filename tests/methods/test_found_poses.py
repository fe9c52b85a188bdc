"""Compositions that find poses: searches recover them from a network that knows the molecule, gradients bring them
nearer, and from random poses the whole method does both."""

import dataclasses
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from hypermol.conformations import NoConformation
from hypermol.conformations.encoder import VariationalEncoderNetwork
from hypermol.engine import Loop, MemoryStore, Processes, Program, State
from hypermol.errors import ConfigError
from hypermol.imaging import rotvec_to_matrix
from hypermol.maps import align_maps, read_map
from hypermol.methods import Conduct, configured, find_method, train
from hypermol.methods.composition import Composition
from hypermol.methods.job import Job, make_ready
from hypermol.methods.search_phases import Continued, Search, without_moments
from hypermol.methods.unseen_fields import unseen_fields
from hypermol.metrics import fsc, pose_errors, pose_scores
from hypermol.particles import Preparation, read_particles
from hypermol.simulation import Recipe, Truth, simulate

ZERO = SimpleNamespace(normal=lambda purpose, *shape, dtype=torch.float32: torch.zeros(24, *shape, dtype=dtype))
NETWORK = {"volume.hidden": 48, "volume.layers": 2, "learning_rate": 4e-3, "precision": "float32"}


@pytest.fixture(scope="module")
def star(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("poses") / "data"
    simulate(Recipe.named("homogeneous", n=240, box=20, snr=3.0, shift_px=1.5, seed=1040), folder)
    return folder / "particles.star"


def _from_poses(star: Path, phases: tuple, off_deg: float, off_px: float) -> tuple[Job, State, Truth]:
    """A job whose table begins with the true poses, off by so much."""
    method = configured(find_method("cryodrgn2"), NETWORK)
    volume = dataclasses.replace(method.volume, z_dim=0)
    method = dataclasses.replace(method, volume=volume, conformation=NoConformation(), phases=phases)
    job = make_ready(read_particles(star), method, Preparation(), 1, Conduct(), Processes())
    truth, draw = Truth.load(star.parent), torch.Generator().manual_seed(2)
    turn = torch.nn.functional.normalize(torch.randn(truth.count, 3, generator=draw), dim=1) * np.deg2rad(off_deg)
    state = job.program.initialise()
    state.table["rotation"] = rotvec_to_matrix(turn) @ torch.from_numpy(truth.rotation).float()
    away = off_px * truth.pixel_size * torch.randn(truth.count, 2, generator=draw)
    state.table["shift"] = torch.from_numpy(truth.shift).float() + away
    return job, state, truth


def _errors(job: Job, state: State, truth: Truth) -> tuple[float, float]:
    """Median errors at the end: degrees and pixels."""
    program = Program(lambda: state, job.program.phases)
    end = Loop(program, job.source, MemoryStore(), seed=1, microbatch=job.method.microbatch).run()
    found, moved = (end.table[name].numpy() for name in ("rotation", "shift"))
    errors = pose_errors(found, truth.rotation, moved, truth.shift, truth.pixel_size)
    np.testing.assert_allclose(found @ found.transpose(0, 2, 1), np.broadcast_to(np.eye(3), found.shape), atol=1e-5)
    return float(np.median(errors.rotation_deg)), float(np.median(errors.shift_px))


def test_a_network_that_knows_the_molecule_finds_every_pose(star: Path) -> None:
    """Search begins from nothing: what the table held does not matter to it."""
    learn = Continued("learn", passes=8, batch_size=16, fresh=False)
    job, state, truth = _from_poses(star, (learn, Search("search", 1, 0, band_start=1.0)), 0.0, 0.0)
    degrees, pixels = _errors(job, state, truth)
    assert degrees < 4.0
    assert pixels < 0.25


def test_gradients_bring_poses_nearer(star: Path) -> None:
    """The same training with poses that stay and with poses that move (DRGN-AI's last phase)."""
    medians = {}
    for moves in (False, True):
        phase = Continued("train", passes=10, batch_size=16, fresh=False, poses_move=moves)
        medians[moves] = _errors(*_from_poses(star, (phase,), 6.0, 0.5))
    assert medians[False][0] == pytest.approx(6.0, abs=1e-2)
    assert medians[True][0] < 0.75 * medians[False][0]
    assert medians[True][1] < 0.6 * medians[False][1]


def test_phases_that_do_not_fit_are_refused() -> None:
    method = find_method("cryodrgn2")
    with pytest.raises(ConfigError, match="passes of 1 or more"):
        configured(method, {"phases.1.resets": [1], "phases.1.passes": 0})
    with pytest.raises(ConfigError, match="fresh=true"):
        configured(find_method("drgnai"), {"phases.3.hidden": 64})
    given = dataclasses.replace(find_method("cryodrgn"), phases=(Search(),))
    assert isinstance(given, Composition)
    with pytest.raises(ConfigError, match="needs pose = searched, found given"):
        given.check()


def test_an_optimiser_begins_anew_and_all_else_stays() -> None:
    one = torch.ones(2)
    tensors = {"model.a": one, "adam.first.a": one, "centres": one}
    state = State(tensors, {"z": one, "z.second": one, "z.steps": one, "rotation": one})
    left = without_moments(state)
    assert set(left.tensors) == {"model.a", "centres"}
    assert set(left.table) == {"z", "rotation"}


def test_one_map_where_z_has_no_dimension() -> None:
    for name in ("cryodrgn2", "cryodrgn-bnb", "drgnai"):
        method = configured(find_method(name), {"z_dim": 0})
        assert method.volume.z_dim == method.conformation.z_dim == 0
        assert method.conformation.z_from == "nothing"
        assert not method.needs_poses


def test_tilt_pairs_are_given_poses_with_a_depth(tmp_path: Path) -> None:
    simulate(Recipe.named("hinge", n=30, box=16, snr=5.0, seed=7, tilts_deg=(0.0, 45.0)), tmp_path / "data")
    small = {"z_dim": 1, "volume.hidden": 16, "conformation.hidden": 16, "pose.last_order": 2}
    turns = {"phases.1.turns": 1, "phases.2.turns": 1, "phases.2.clusters": 2, "epochs": 1}
    run = train(
        tmp_path / "data" / "particles.star", configured(find_method("cryodrgn2"), small | turns), tmp_path / "r"
    )
    found = run.estimates()
    assert found["rotation"].shape == (30, 3, 3)
    assert found["shift"].shape == (30, 3)
    assert found["z"].shape == (30, 1)
    posed = read_particles(tmp_path / "r" / "particles.star", tmp_path / "data")
    np.testing.assert_allclose(posed.rotation, found["rotation"], atol=1e-4)


@pytest.mark.parametrize("upright", [True, False])
def test_an_encoder_of_upright_images_is_never_asked_without_a_pose(
    tmp_path: Path, upright: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of particles that the run has not seen: their poses are searched for first, in the map at the middle of z."""
    simulate(Recipe.named("hinge", n=24, box=16, snr=5.0, seed=8), tmp_path / "data")
    small = {"z_dim": 1, "volume.hidden": 16, "conformation.hidden": 16, "pose.last_order": 2}
    method = configured(find_method("cryodrgn2"), {**small, "conformation.upright": upright})
    job = make_ready(
        read_particles(tmp_path / "data" / "particles.star"), method, Preparation(), 0, Conduct(), Processes()
    )
    shown, posterior = [], VariationalEncoderNetwork.posterior

    def recorded(network, batch, pose):
        shown.append(pose.rotation is not None)
        return posterior(network, batch, pose)

    monkeypatch.setattr(VariationalEncoderNetwork, "posterior", recorded)
    state = job.program.initialise()
    unseen = unseen_fields(job.method, state, job.context, {"z": np.linspace(-1, 1, 24)[:, None]})
    found = unseen.look(state, job.source.load(torch.arange(24)), ZERO)
    assert {"rotation", "shift", "z"} <= set(found)
    assert shown[0] is upright
    assert all(shown[1:])


RANDOM_START = {"z_dim": 0, "volume.hidden": 64, "epochs": 4}


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_rigid_molecule_from_random_poses(tmp_path: Path, seed: int) -> None:
    """No noise, 1,000 × 32 px: errors below the last spacing of the grid, 1.9°."""
    simulate(Recipe.named("homogeneous", n=1000, box=32, snr=1e3, shift_px=2.0, seed=3), tmp_path / "data")
    truth, method = Truth.load(tmp_path / "data"), configured(find_method("cryodrgn2"), RANDOM_START)
    run = train(tmp_path / "data" / "particles.star", method, tmp_path / "run", seed=seed)
    found = run.estimates()
    scores = pose_scores(found["rotation"], truth.rotation, found["shift"], truth.shift, pixel_size=truth.pixel_size)
    assert float(np.median(scores.overall.direction_deg)) < 1.9
    assert float(np.median(scores.overall.shift_px)) < 0.1
    map_ = align_maps(read_map(run.volumes / "consensus.mrc")[0], truth.map(0).float()).aligned
    assert float(fsc(map_, truth.map(0).float())[:12].min()) > 0.95
