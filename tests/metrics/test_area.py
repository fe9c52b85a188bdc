"""CryoBench's area: curves solved by hand, a loop over shells, cryoDRGN's own program, and what knows nothing."""

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

from hypermol.errors import DataError
from hypermol.maps import read_map, soft_sphere, write_map
from hypermol.metrics import cryobench_area, cryobench_curve, curve_area

PEERS = Path(__file__).resolve().parents[2] / ".peers" / "cryodrgn" / "bin"


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def by_loop(a, b):
    """The protocol as the paper's scripts state it: growing balls, the last ball taken off."""
    box = len(a)
    fa, fb = np.fft.fftn(a), np.fft.fftn(b)
    k = np.fft.fftfreq(box, 1 / box)
    radius = np.sqrt(k[:, None, None] ** 2 + k[:, None] ** 2 + k**2)
    curve = [1.0]
    for i in range(1, box // 2):
        shell = (i - 1 <= radius) & (radius < i)
        cross = np.vdot(fa[shell], fb[shell]).real
        curve.append(cross / np.sqrt(np.vdot(fa[shell], fa[shell]).real * np.vdot(fb[shell], fb[shell]).real))
    area = np.trapezoid(np.abs(curve), np.arange(box // 2) / box)
    return np.array(curve), area


def test_against_a_loop_over_growing_balls():
    a, b, mask = noise(3, 20, 20, 20), noise(3, 20, 20, 20, seed=1), noise(20, 20, 20, seed=2).sigmoid()
    curves, areas = cryobench_curve(a, a + b, mask), cryobench_area(a, a + b, mask)
    for curve, area, x, y in zip(curves, areas, a, a + b):
        expected_curve, expected_area = by_loop((x * mask).numpy(), (y * mask).numpy())
        np.testing.assert_allclose(curve.numpy(), expected_curve, atol=1e-12)
        assert float(area) == pytest.approx(expected_area, abs=1e-12)


def test_the_truth_has_the_published_best_value():
    map_ = noise(128, 128, 128).float()
    assert float(cryobench_area(map_, 2 * map_)) == pytest.approx(63 / 128, abs=1e-6)
    assert round(63 / 128, 3) == 0.492


def test_curves_solved_by_hand():
    assert float(curve_area(torch.tensor([1.0, 1.0, 0.5, -0.5]))) == pytest.approx((1 + 0.75 + 0.5) / 8)
    assert float(curve_area(torch.tensor([1.0, 1.0, 0.5, -0.5]), signed=True)) == pytest.approx((1 + 0.75 + 0) / 8)
    torch.testing.assert_close(curve_area(torch.ones(2, 64)), torch.full((2,), 63 / 128))


def test_noise_scores_what_theory_says():
    """|FSC| of unrelated maps is √(2/(π n)) on average at a shell of n points; never 0."""
    box, trials = 32, 40
    found = [
        float(cryobench_area(noise(box, box, box, seed=i), noise(box, box, box, seed=99 + i))) for i in range(trials)
    ]
    k = np.fft.fftfreq(box, 1 / box)
    radius = np.sqrt(k[:, None, None] ** 2 + k[:, None] ** 2 + k**2)
    points = [((i - 1 <= radius) & (radius < i)).sum() for i in range(2, box // 2)]
    expected = np.trapezoid([1, 1, *np.sqrt(2 / (np.pi * np.array(points)))], dx=1 / box)
    assert np.mean(found) == pytest.approx(expected, rel=0.04)


def test_an_empty_map_is_not_perfect():
    """By the published scripts it would be: a shell without density counts 1 there."""
    map_ = noise(16, 16, 16)
    assert float(cryobench_area(torch.zeros_like(map_), map_)) == pytest.approx(0.5 / 16)


def test_refusals():
    with pytest.raises((DataError, TypeError)):
        cryobench_area(noise(8, 8, 8), noise(10, 10, 10))
    with pytest.raises(DataError, match="even"):
        cryobench_area(noise(9, 9, 9), noise(9, 9, 9))


@pytest.mark.slow
def test_against_cryodrgn(tmp_path):
    """cryodrgn_utils fsc of two maps in a mask, shell by shell."""
    program = Path(os.environ.get("HYPERMOL_CRYODRGN", PEERS)).absolute() / "cryodrgn_utils"
    if not program.exists():
        pytest.skip("cryodrgn_utils is neither in .peers (make peers) nor in $HYPERMOL_CRYODRGN")
    box, first = 48, noise(48, 48, 48).float()
    second, mask = first + noise(48, 48, 48, seed=1).float(), soft_sphere(box, 14.0, 6.0)
    for name, map_ in {"a": first, "b": second, "mask": mask}.items():
        write_map(tmp_path / f"{name}.mrc", map_, 2.0)
    command = [program, "fsc", "a.mrc", "b.mrc", "--mask", "mask.mrc", "-o", "fsc.txt"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    frequency, theirs = np.loadtxt(tmp_path / "fsc.txt", skiprows=1).T
    ours = cryobench_curve(read_map(tmp_path / "a.mrc")[0], read_map(tmp_path / "b.mrc")[0], mask).numpy()
    np.testing.assert_allclose(frequency, np.arange(box // 2) / box)
    np.testing.assert_allclose(ours, theirs, atol=2e-6)
