"""Motion between halves for constructed z: the truth is found; pose, contrast and chance are not taken for motion."""

from pathlib import Path

import numpy as np
import pytest
from small_runs import QUIET, RIGID, TINY, untrained

from hypermol.runs import Run
from hypermol.simulation import Recipe, Truth, simulate
from hypermol.validation.axes import pose_and_ctf
from hypermol.validation.motion import Motion, motion_between
from hypermol.validation.pieces import Whole, pieces_of
from hypermol.validation.reproduction import REAL


def _data(folder: Path, **more) -> tuple[Whole, Truth]:
    simulate(Recipe.named("hinge", n=800, box=24, snr=1.0, shift_px=1.0, seed=77, **more), folder / "data")
    run = untrained(folder / "data" / "particles.star", folder / "run", TINY)
    return Whole.of(run), Truth.load(folder / "data")


@pytest.fixture(scope="module")
def hinge(tmp_path_factory: pytest.TempPathFactory) -> tuple[Whole, Truth]:
    return _data(tmp_path_factory.mktemp("moving"))


@pytest.fixture(scope="module")
def rigid(tmp_path_factory: pytest.TempPathFactory) -> tuple[Whole, Truth]:
    """Rigid, but each image has a contrast of its own."""
    return _data(tmp_path_factory.mktemp("rigid"), range_deg=RIGID, contrast_range=(0.5, 1.5))


def _compared(whole: Whole, z: np.ndarray) -> Motion:
    """As if the two halves' models had inferred these z [N, d], each turned and scaled in a way of its own."""
    generator = np.random.default_rng(4)
    runs: list[Run] = []
    for half in range(2):
        mixture = np.linalg.qr(generator.normal(size=(z.shape[1], z.shape[1])))[0] * (1 + half)
        runs.append(Run(whole.run.path / f"inferred{half}"))
        runs[half].path.mkdir(exist_ok=True)
        runs[half].save_estimates({"z": z[whole.rows(half)] @ mixture})
    pieces = pieces_of(whole, noise=False)
    return motion_between(whole, (pieces[0], pieces[1]), (runs[0], runs[1]), QUIET)


def test_the_true_angle_is_found_and_told_from_chance(hinge: tuple[Whole, Truth]):
    whole, truth = hinge
    chance = np.random.default_rng(1).normal(size=truth.count)
    angle = truth.conformation[:, 0] / truth.conformation[:, 0].std()
    found = _compared(whole, np.stack([chance, angle + 0.5 * np.roll(chance, 1)], 1))
    assert found.significance[0] > 2 * REAL
    assert found.significance[1] < REAL
    assert found.resolution[0] < 30
    assert 0.4 < found.share[0] <= 1
    again = Motion.from_arrays(found.arrays())
    np.testing.assert_array_equal(again.curve, found.curve)
    nuisance = pose_and_ctf(whole.particles)
    for kept, known in zip(again.frames, found.frames):
        np.testing.assert_array_equal(
            kept.coordinates(np.ones((800, 2)), nuisance), known.coordinates(np.ones((800, 2)), nuisance)
        )


def test_pose_in_z_is_no_motion(rigid: tuple[Whole, Truth]):
    """Both halves' z are the same non-linear functions of how the particle lay: perfectly reproducible, no motion."""
    whole, truth = rigid
    z = np.stack([truth.rotation[:, 2, 2] ** 3, np.abs(truth.rotation[:, 2, 0]) ** 0.5], 1)
    assert _compared(whole, z).significance[0] < REAL


def test_contrast_in_z_reproduces_but_is_no_motion(rigid: tuple[Whole, Truth]):
    whole, truth = rigid
    chance = np.random.default_rng(1).normal(size=truth.count)
    found = _compared(whole, np.stack([truth.contrast, chance], 1))
    assert found.anything[0] > 2 * REAL
    assert found.significance[0] < REAL


def test_a_z_that_is_not_used(hinge: tuple[Whole, Truth]):
    found = _compared(hinge[0], np.full((800, 2), 1.5))
    assert found.count == 0
    assert Motion.from_arrays(found.arrays()).count == 0
