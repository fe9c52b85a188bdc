"""Classes with unknown poses: class and pose of every particle from rough maps, an empty class, one class, and nothing
but images."""

import dataclasses

import numpy as np
import pytest
import torch
from unposed import hide_poses

from hypermol.engine import Loop, MemoryStore, Processes, Program, State
from hypermol.errors import ConfigError
from hypermol.imaging import rotvec_to_matrix
from hypermol.maps import align_maps, low_pass, read_map, transform_map
from hypermol.methods import Conduct, configured, find_method, train
from hypermol.methods.classify_abinitio_start import APART, Beginning
from hypermol.methods.job import make_ready
from hypermol.metrics import confusion, fsc, fsc_mean, pose_scores
from hypermol.particles import Preparation, read_particles
from hypermol.simulation import Recipe, Truth, simulate

SHORT = {"search_passes": 1, "passes": 2, "joint_passes": 1, "kept": 6, "batch_size": 100}  # several batches in a pass
TWO = (0.65, 0.35, 0, 0, 0, 0, 0, 0, 0, 0)


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """Two states of 65 and 35 %, images without poses."""
    folder = tmp_path_factory.mktemp("two")
    simulate(Recipe(name="discrete10", n=200, box=24, snr=1.0, seed=8, shift_px=1.0, populations=TWO), folder)
    return hide_poses(folder), Truth.load(folder)


def from_maps(star, maps, settings):
    """The results of passes over class and pose, begun with these maps."""
    method = configured(find_method("classify-abinitio"), {**SHORT, "classes": len(maps), **settings})
    job = make_ready(read_particles(star), method, Preparation(), 0, Conduct(), Processes())
    first, *others = job.program.phases[-4:]

    def enter(state):
        return Beginning(method, job.context).from_random(State({APART: maps}, {}, {**state.data, "band": 6}))

    program = Program(job.program.initialise, (dataclasses.replace(first, enter=enter), *others))
    state = Loop(program, job.source, MemoryStore(), seed=0, microbatch=method.microbatch).run()
    return method.results(state, job.context)


def rough(truth, states):
    return torch.stack([low_pass(truth.map_of_state(k).float(), 1.0, 4.0) for k in states])


def test_rough_maps_in_frames_of_their_own_are_enough(two):
    star, truth = two
    maps = rough(truth, (0, 1))
    maps[1] = transform_map(maps[1], rotvec_to_matrix(torch.tensor([0.4, -0.9, 0.3])).double(), torch.zeros(3).double())
    found = from_maps(star, maps, {})
    estimates = found.estimates
    scores = confusion(estimates["class"], truth.state)
    assert scores.ari > 0.95
    for state in range(2):
        ours = (estimates["class"] == scores.matched[state]) & (truth.state == state)
        pose = {name: estimates[name][ours] for name in ("rotation", "shift")}
        errors = pose_scores(
            pose["rotation"], truth.rotation[ours], pose["shift"], truth.shift[ours], pixel_size=truth.pixel_size
        ).overall
        assert np.median(errors.rotation_deg) < 6
        assert np.median(errors.shift_px) < 0.3
        map_ = found.maps[f"class-{scores.matched[state] + 1}"]
        states = [truth.map_of_state(k).float() for k in range(2)]
        own = [float(fsc_mean(fsc(align_maps(map_, other, order=1).aligned, other))) for other in states]
        assert int(np.argmax(own)) == state
        assert own[state] > 0.6
    np.testing.assert_allclose(estimates["class_probability"].sum(1), 1, atol=1e-5)
    assert estimates["z"].shape == (200, 1)
    assert {"contrast", "log_likelihood", "z_covariance"} < set(estimates)


def test_a_class_that_nobody_is_in_is_told(two):
    star, truth = two
    maps = rough(truth, (0, 1, 1))
    maps[2] *= -1  # the negative of a molecule is in no image
    found = from_maps(star, maps, {"smallest": 0.1})
    assert any("almost empty" in words or "next to no particles" in words for words in found.notes)


def test_one_class_has_no_z(two):
    star, truth = two
    found = from_maps(star, rough(truth, (0,)), {})
    assert found.estimates["class_probability"].shape == (200, 1)
    assert "z" not in found.estimates
    assert "1 class, as asked for" in found.notes


def test_nothing_to_begin_with_is_refused():
    with pytest.raises(ConfigError, match="nothing to begin with"):
        configured(find_method("classify-abinitio"), {"starts": 0, "apart_starts": 0})
    with pytest.raises(ConfigError, match="nothing to begin with"):
        configured(find_method("classify-abinitio"), {"starts": 0, "classes": 1})


@pytest.mark.slow
def test_one_class_is_ab_initio(tmp_path):
    simulate(Recipe(name="homogeneous", n=800, box=32, snr=0.5, shift_px=2.0, seed=12), tmp_path / "data")
    star, truth = hide_poses(tmp_path / "data"), Truth.load(tmp_path / "data")
    starts = {"starts": 2, "images": 3000, "first_shells": 7, "last_shells": 9, "batch_size": 200}
    jobs = {"abinitio": {"search_passes": 2, "local_passes": 4}, "classify-abinitio": {"classes": 1}}
    angles, likeness = {}, {}
    for name, settings in jobs.items():
        run = train(star, configured(find_method(name), {**starts, **settings}), tmp_path / name, seed=0)
        found = run.estimates()
        scores = pose_scores(
            found["rotation"], truth.rotation, found["shift"], truth.shift, pixel_size=truth.pixel_size
        )
        angles[name] = np.median(scores.overall.rotation_deg)
        exact, map_ = truth.map(0).float(), read_map(run.volumes / "consensus.mrc")[0]
        likeness[name] = float(fsc_mean(fsc(align_maps(map_, exact).aligned, exact)))
    assert angles["classify-abinitio"] < 1.1 * angles["abinitio"]
    assert likeness["classify-abinitio"] > likeness["abinitio"] - 0.02
