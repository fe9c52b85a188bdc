"""A finished run looks at particles: its own give its own estimates, others of the molecule are near the truth, and
what is no such particle is called unlike."""

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from small import hinge, spearman

from hypermol.engine import InterruptedRun
from hypermol.errors import ConfigError, ConventionError
from hypermol.imaging import geodesic_angle_deg
from hypermol.methods import Conduct, configured, find_method, infer, resume, resume_inference, train
from hypermol.particles import read_particles, write_selection
from hypermol.runs import Run

COUNT = 500
PPCA = {"z_dim": 2, "passes": 4, "march_passes": 3, "joint_passes": 1, "batch_size": 100}
COVARIANCE = {"z_dim": 2, "columns": 12, "subspace": 8, "batch_size": 100}
CLASSIFY = {"classes": 2, "restarts": 0, "component_passes": 4, "start_passes": 3, "passes": 3, "joint_passes": 1}
FIELD = {"volume.hidden": 32, "volume.layers": 1, "epochs": 2, "batch_size": 20, "z_dim": 2, "precision": "float32"}
CRYODRGN = {**FIELD, "conformation.hidden": 32, "conformation.layers": 1, "learning_rate": 4e-3}
GIVEN = {
    "ppca": PPCA,
    "covariance": COVARIANCE,
    "classify": {**CLASSIFY, "batch_size": 100},
    "cryodrgn": CRYODRGN,
    "backprojection": {},
}


@dataclasses.dataclass(frozen=True)
class Problem:
    """A hinge: particles to train on, others, and some that show no intact molecule."""

    own: Path
    others: Path
    junk: Path
    truth: object
    is_junk: np.ndarray


@pytest.fixture(scope="module")
def problem(tmp_path_factory: pytest.TempPathFactory) -> Problem:
    folder = tmp_path_factory.mktemp("infer")
    truth = hinge(folder / "data", 700, 16, 2.0, 5)
    hinge(folder / "junk", 150, 16, 2.0, 6, junk=0.4)
    whole = read_particles(folder / "data" / "particles.star")
    own, others = folder / "data" / "own.star", folder / "data" / "others.star"
    write_selection(whole, np.arange(COUNT), own)
    write_selection(whole, np.arange(COUNT, 700), others)
    bad = np.load(folder / "junk" / "truth.npz")["junk"]
    return Problem(own, others, folder / "junk" / "particles.star", truth, np.asarray(bad) > 0)


@pytest.fixture(scope="module")
def runs(problem: Problem, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("runs")
    return {
        name: train(problem.own, configured(find_method(name), settings), folder / name).path
        for name, settings in GIVEN.items()
    }


@pytest.mark.parametrize("method", [name for name in GIVEN if name != "backprojection"])
def test_its_own_particles_give_its_own_estimates(
    method: str, problem: Problem, runs: dict[str, Path], tmp_path: Path
) -> None:
    found = infer(runs[method], problem.own, tmp_path / "out", reference=100).estimates()
    known = Run.open(runs[method]).estimates()
    spread = known["z"].std(0)
    apart = np.abs(found["z"] - known["z"]) / spread
    exact = method in ("covariance", "cryodrgn")
    assert np.quantile(apart, 0.95) < (1e-4 if exact else 0.05)
    missing = set(known) - set(found)
    assert missing <= {"class"} or not missing
    for name in set(known) & {"z_normal", "contrast", "class_probability"}:
        np.testing.assert_allclose(np.median(np.abs(found[name] - known[name])), 0, atol=0.02, err_msg=name)
    assert found["outlier"].mean() < 0.08


def test_unseen_particles_are_near_the_truth(problem: Problem, runs: dict[str, Path], tmp_path: Path) -> None:
    """The direction of z is fitted on the run's own particles and scored on the others."""
    own, truth = Run.open(runs["ppca"]), problem.truth.conformation[:, 0]
    found = infer(runs["ppca"], problem.others, tmp_path / "out")
    z, angle = found.estimates()["z"], truth[COUNT:]
    axis = np.linalg.lstsq(np.c_[own.estimates()["z"], np.ones(COUNT)], truth[:COUNT], rcond=None)[0]
    guessed = np.c_[z, np.ones(len(z))] @ axis
    unseen = abs(np.corrcoef(guessed, angle)[0, 1])
    assert unseen > 0.9
    half = dataclasses.replace(
        problem.truth, conformation=problem.truth.conformation[:COUNT], half=problem.truth.half[:COUNT]
    )
    assert unseen > spearman(own, half) - 0.05
    assert (found.volumes / "consensus.mrc").exists()
    assert found.finished


@pytest.mark.parametrize("method", GIVEN)
def test_junk_is_unlike(method: str, problem: Problem, runs: dict[str, Path], tmp_path: Path) -> None:
    found = infer(runs[method], problem.junk, tmp_path / "out").estimates()
    assert found["outlier"][problem.is_junk].mean() > 0.8
    assert found["outlier"][~problem.is_junk].mean() < (0.35 if method == "cryodrgn" else 0.1)
    assert set(found["outlier_reason"][found["outlier"] == 0]) == {0}


def test_searched_poses(problem: Problem, runs: dict[str, Path], tmp_path: Path) -> None:
    """A rigid run finds poses of particles whose own are taken away, and writes a file with them."""
    settings = {"search_passes": 0, "local_passes": 1, "kept": 8}
    rigid = train(problem.own, configured(find_method("refine"), settings), tmp_path / "rigid")
    others = read_particles(problem.others)
    write_selection(others, np.arange(60), problem.others.parent / "some.star")
    found = infer(rigid.path, problem.others.parent / "some.star", tmp_path / "out", reference=0)
    angle = geodesic_angle_deg(
        *(torch.from_numpy(r) for r in (found.estimates()["rotation"].astype(float), others.rotation[:60]))
    )
    assert float(angle.median()) < 8
    written = read_particles(found.path / "particles.star", datadir=problem.others.parent)
    np.testing.assert_allclose(written.rotation, found.estimates()["rotation"], atol=1e-4)
    assert "outlier" not in found.estimates()


def test_what_does_not_fit_is_refused(problem: Problem, runs: dict[str, Path], tmp_path: Path) -> None:
    def refused(run: Path, star: Path, *words: str, kind: type[Exception] = ConfigError, **more: object) -> None:
        with pytest.raises(kind) as caught:
            infer(run, star, tmp_path / "out", **more)
        for word in words:
            assert word in str(caught.value)
        assert not (tmp_path / "out").exists()

    refused(runs["ppca"], problem.own, "no encoder", z_steps=5)
    refused(runs["ppca"], problem.own, "show", "Å", "box of", pixel_size=3.0)
    hinge(tmp_path / "small", 30, 12, 2.0, 7)
    refused(runs["ppca"], tmp_path / "small" / "particles.star", "Å")
    star = problem.others.read_text()
    bare = problem.others.parent / "bare.star"
    heads = [line for line in star.splitlines() if line.startswith("_rlnAngle")]
    assert heads
    bare.write_text(
        star.replace("_rlnAngleRot", "_rlnNotRot")
        .replace("_rlnAngleTilt", "_rlnNotTilt")
        .replace("_rlnAnglePsi", "_rlnNotPsi")
    )
    refused(runs["ppca"], bare, "has no poses", "-m refine --set reference=")
    unfinished = tmp_path / "unfinished"
    shutil.copytree(runs["ppca"], unfinished)
    (unfinished / "log.jsonl").write_text("")
    refused(unfinished, problem.own, "has not finished")
    other = read_particles(problem.others)
    mirror = np.diag([1.0, 1.0, -1.0])
    from hypermol.particles import write_posed

    flipped = problem.others.parent / "flipped.star"
    write_posed(other, mirror @ other.rotation @ mirror, other.shift, flipped)
    refused(runs["ppca"], flipped, "the other hand", "hypermol flip", kind=ConventionError)


def test_stopped_and_continued(
    problem: Problem, runs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same estimates, to the bit, and what was done is not done again; another command's folder is refused."""
    monkeypatch.setattr("hypermol.methods.inference.BATCH", 25)
    straight = infer(runs["ppca"], problem.others, tmp_path / "straight", reference=50).estimates()
    calls: list[int] = []

    def stop() -> bool:
        calls.append(1)
        return len(calls) > 5

    with pytest.raises(InterruptedRun):
        infer(runs["ppca"], problem.others, tmp_path / "out", reference=50, conduct=Conduct(asked_to_stop=stop))
    with pytest.raises(ConfigError, match="hypermol infer --resume"):
        resume(tmp_path / "out")
    again = resume_inference(tmp_path / "out").estimates()
    for name, values in straight.items():
        np.testing.assert_array_equal(again[name], values, err_msg=name)
    with pytest.raises(ConfigError, match="was not made by"):
        resume_inference(runs["ppca"])


def test_images_are_streamed_alike(problem: Problem, runs: dict[str, Path], tmp_path: Path) -> None:
    kept, streamed = (
        infer(runs["cryodrgn"], problem.others, tmp_path / name, reference=0, conduct=Conduct(memory_limit=limit))
        for name, limit in (("kept", None), ("streamed", 1))
    )
    for name, values in kept.estimates().items():
        np.testing.assert_array_equal(streamed.estimates()[name], values, err_msg=name)


def test_gradient_steps_make_an_encoders_z_likelier(problem: Problem, runs: dict[str, Path], tmp_path: Path) -> None:
    some = problem.others.parent / "few.star"
    write_selection(read_particles(problem.others), np.arange(60), some)
    quick, slow = (
        infer(runs["cryodrgn"], some, tmp_path / str(steps), reference=0, z_steps=steps).estimates() for steps in (0, 8)
    )
    assert slow["log_likelihood"].mean() > quick["log_likelihood"].mean()
