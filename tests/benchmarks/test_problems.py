"""Every problem: simulated, the truth as the answer scores best, knowing nothing scores nothing, limits lie between."""

import dataclasses

import numpy as np
import pytest
import torch

from hypermol.benchmarks import PROBLEMS, Answer, Given, find_problem
from hypermol.benchmarks.bounds import sum_of
from hypermol.benchmarks.figures import FSC_AT_Z, STATES_APART, area_under_roc
from hypermol.benchmarks.given import known_z
from hypermol.errors import ConfigError, DataError
from hypermol.imaging.rotations import rotvec_to_matrix
from hypermol.particles import read_particles
from hypermol.simulation import GAIN, ROTATION, SHIFT, build_molecule

MAPS_AGREE = 1e-5


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("problems")


def task_of(name, folder, given=None):
    task = find_problem(name).at("tiny", 0, folder, given)
    task.simulate()
    return task


def the_truth(truth):
    """What a program would answer that knows everything; of z a noise far below any distance, for discriminants."""
    z = known_z(truth) + 1e-6 * np.random.default_rng(0).normal(size=known_z(truth).shape)
    return Answer(z=z, maps=lambda rows: (truth.map(int(row)) for row in rows), consensus=truth.mean_map())


def values(figures):
    return {name: entry["value"] for name, entry in figures.items()}


QUICK = ("hinge", "homogeneous", "circular1d", "linear2d", "discrete10", "ribosome-90-10", "hsp90", "junk-and-rare")
"""The other problems differ from one of these in a setting or in their model; they are looked at too, but slow."""


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in PROBLEMS]
)
def test_the_truth_scores_best_and_the_mean_map_nothing(name, folder):
    task = task_of(name, folder)
    truth, bound = task.truth, values(task.bound())
    assert truth.count == find_problem(name).tiers["tiny"]["n"]
    assert task.molecule
    best = values(task.score(the_truth(truth)))
    assert best["FSC of the consensus"] == pytest.approx(1, abs=MAPS_AGREE)
    assert bound[ROTATION] > 0
    if not truth.motion.moving.any():
        return
    assert best[GAIN] == pytest.approx(1, abs=1e-4)
    assert best[FSC_AT_Z] == pytest.approx(1, abs=MAPS_AGREE)
    assert bound[FSC_AT_Z] <= 1
    assert bound[GAIN] <= 1
    for figure in ("|Spearman|", "R²", "R² 1", "R² 2"):
        if figure in best:
            assert best[figure] > 0.85, figure
    if STATES_APART in best:
        assert best[STATES_APART] == pytest.approx(100)
        assert best["confusion error of clusters of z"] == 0
    mean = truth.mean_map()
    nothing = values(task.score(Answer(maps=lambda rows: (mean for _ in rows), consensus=mean)))
    assert nothing[GAIN] == pytest.approx(0, abs=1e-6)


def test_noise_as_z_knows_nothing(folder):
    task = task_of("hinge", folder)
    z = np.random.default_rng(1).normal(size=(task.truth.count, 2))
    found = values(task.score(Answer(z=z)))
    assert abs(found["|Spearman|"]) < 0.25
    assert found["R²"] < 0.1


def test_junk_and_a_rare_state_are_scored(folder):
    task = task_of("junk-and-rare", folder)
    truth = task.truth
    assert (truth.junk > 0).mean() == pytest.approx(0.2)
    assert (truth.state == 1).sum() == pytest.approx(0.02 * truth.count, abs=8)
    likelihood = -(truth.junk > 0).astype(float)
    found = values(task.score(dataclasses.replace(the_truth(truth), log_likelihood=likelihood)))
    assert found["junk told apart by likelihood"] == 1
    assert found["rare state (2 %) told apart"] == pytest.approx(1)
    assert found["least recall of a state by clusters of z"] == 100


def test_poses_are_scored_only_after_their_frame_is_taken_out(folder):
    task = task_of("homogeneous", folder, Given.hiding(("pose",)))
    truth = task.truth
    frame = rotvec_to_matrix(torch.tensor([0.3, -0.8, 0.5], dtype=torch.float64)).numpy()
    found = values(task.score(Answer(rotation=truth.rotation @ frame, shift=truth.shift)))
    assert found[ROTATION] == pytest.approx(0, abs=1e-4)
    assert found[SHIFT] == pytest.approx(0, abs=1e-6)


def test_what_is_hidden_is_not_in_the_file(folder):
    everything = read_particles(task_of("hinge", folder).particles)
    no_pose = read_particles(task_of("hinge", folder, Given.hiding(("pose",))).particles)
    assert everything.has_poses
    assert not no_pose.has_poses
    no_shift = read_particles(task_of("hinge", folder, Given.hiding(("shift",))).particles)
    np.testing.assert_allclose(no_shift.shift, 0)
    np.testing.assert_allclose(no_shift.rotation, everything.rotation, atol=1e-6)
    assert read_particles(task_of("hinge", folder, Given.hiding(("ctf",))).particles).ctf is None
    wrong = read_particles(task_of("hinge", folder, Given.hiding((), 0.1)).particles)
    error = (wrong.ctf.defocus_u - everything.ctf.defocus_u).numpy()
    assert error.std() == pytest.approx(1000, rel=0.15)
    assert np.abs(error.mean()) < 250
    np.testing.assert_array_equal(wrong.image_index, everything.image_index)
    with pytest.raises(ConfigError, match="colour"):
        Given.hiding(("colour",))


def test_without_shared_models_a_stand_in_says_so(folder, monkeypatch):
    monkeypatch.setattr("hypermol.benchmarks.molecules.model_file", lambda name: None)
    for name in (
        "ribosome-90-10",
        "hsp90",
        "hsp90-25-75",
        "hsp90-shifted",
        "hsp90-biased",
        "igg-1d",
        "adenylate-kinase",
    ):
        recipe, words = find_problem(name).settled("tiny", 0, folder / "stand-ins")
        assert "stand-in" in words
        assert build_molecule(recipe).motion.moving.any()  # and it fits its box
        build_molecule(find_problem(name).settled("paper", 0, folder / "stand-ins")[0])


def test_bad_answers_and_tiers_are_refused(folder):
    task = task_of("hinge", folder)
    with pytest.raises(DataError, match="one per particle"):
        task.score(Answer(z=np.zeros((3, 1))))
    with pytest.raises(DataError, match="not finite"):
        task.score(Answer(z=np.full((task.truth.count, 1), np.nan)))
    with pytest.raises(ConfigError, match="it has: tiny, small, paper"):
        find_problem("hinge").at("huge")
    with pytest.raises(ConfigError, match="nothing is simulated"):
        _ = find_problem("hinge").at("tiny", 9, folder).truth


def test_area_under_roc_by_hand():
    score, positive = np.array([1.0, 2.0, 2.0, 3.0]), np.array([False, True, False, True])
    assert area_under_roc(score, positive) == pytest.approx((1 + 0.5 + 1 + 1) / 4)
    assert np.isnan(area_under_roc(score, np.zeros(4, dtype=bool)))


def test_a_mixture_of_maps_is_their_weighted_sum():
    maps = [torch.full((2, 2, 2), value) for value in (1.0, 10.0)]
    assert float(sum_of(maps, np.array([0.25, 0.75]))[0, 0, 0]) == pytest.approx(7.75)


@pytest.mark.parametrize("name", ["hinge", "junk-and-rare", "circular1d"])
def test_relion_simulates_the_same_images(name, folder):
    import shutil

    from hypermol.benchmarks.second_simulator import compare_with_relion

    if shutil.which("relion_project") is None:
        pytest.skip("relion_project is not installed (Debian: apt-get install relion)")
    truth = task_of(name, folder).truth
    assert compare_with_relion(truth, truth.intact[:3]).min() > 0.997
