"""Each method recovers a known answer: thresholds on what is recovered, far above what chance can give."""

from pathlib import Path

import numpy as np
import pytest
import torch
from small import HINGE, NETWORK, hinge, spearman

from hypermol.maps import read_map
from hypermol.methods import configured, find_method, rebuild, train
from hypermol.metrics import best_direction, fsc, fsc_mean
from hypermol.runs import Run
from hypermol.simulation import Recipe, Truth, simulate


def _trained(folder: Path, method: str, settings: dict, seed: int = 0) -> Run:
    return train(folder / "particles.star", configured(find_method(method), settings), folder / "run", seed=seed)


def _closer_than_consensus(run: Run, truth: Truth, count: int) -> float:
    """Share of particles whose map at z is closer to their own true map than the back projection is."""
    trained, mask = rebuild(run, "cpu"), truth.mask().float()
    consensus = read_map(run.volumes / "consensus.mrc")[0]
    wins = []
    for particle in np.linspace(0, truth.count - 1, count).astype(int):
        exact = truth.map(int(particle)).float()
        ours, other = (fsc_mean(fsc(found, exact, mask)) for found in (trained.map_of(int(particle)), consensus))
        wins.append(bool(ours > other))
    return float(np.mean(wins))


def test_z_that_is_random_orders_nothing(tmp_path: Path) -> None:
    """What chance gives with so many particles, so that the thresholds below mean something."""
    truth = hinge(tmp_path / "data", 800, 16, 2.0, 0)
    generator = np.random.default_rng(0)
    found = [
        best_direction(generator.normal(size=(800, 2)), truth.conformation[:, 0], truth.half == 0).spearman
        for _ in range(50)
    ]
    assert max(map(abs, found)) < 0.3


@pytest.mark.parametrize("method", HINGE)
def test_a_hinge_is_put_in_order(tmp_path: Path, method: str) -> None:
    truth = hinge(tmp_path, 600, 24, 2.0, 0)
    run = _trained(tmp_path, method, HINGE[method])
    assert spearman(run, truth) > 0.75
    assert _closer_than_consensus(run, truth, 10) >= 0.7


def test_a_rigid_molecule_as_a_network(tmp_path: Path) -> None:
    simulate(Recipe.named("homogeneous", n=600, box=24, snr=2.0, shift_px=1.0, seed=1001), tmp_path)
    run = _trained(tmp_path, "neural-homogeneous", {**NETWORK, "epochs": 6, "batch_size": 32, "learning_rate": 4e-3})
    found, pixel_size = read_map(run.volumes / "map.mrc")
    curve = fsc(found, Truth.load(tmp_path).mean_map().float())
    assert pixel_size == pytest.approx(8.0)
    assert float(curve[:7].min()) > 0.9  # up to half of Nyquist
    assert float(fsc_mean(curve)) > 0.75
    assert float(found.sum()) > 0  # positive density
    torch.testing.assert_close(rebuild(run, "cpu").decode(None)[0], found)


def test_tilt_pairs_share_their_conformation(tmp_path: Path) -> None:
    """Two images of each particle, 45° apart, one z."""
    truth = hinge(tmp_path, 400, 24, 1.0, 2, tilts_deg=(0.0, 45.0))
    run = _trained(tmp_path, "cryodrgn", {**HINGE["cryodrgn"], "epochs": 18})
    assert run.estimates()["z"].shape == (400, 2)
    assert spearman(run, truth) > 0.6


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("method", HINGE)
def test_noisier_images_of_a_hinge(tmp_path: Path, method: str, seed: int) -> None:
    truth = hinge(tmp_path, 1500, 32, 0.5, 10 + seed)
    larger = {"volume.hidden": 96, "epochs": 24, "learning_rate": 2e-3}
    run = _trained(tmp_path, method, {**HINGE[method], **larger}, seed)
    limit = best_direction(truth.posterior_mean().mean[:, None], truth.conformation[:, 0], truth.half == 0).spearman
    assert spearman(run, truth) > 0.8
    assert spearman(run, truth) <= limit + 0.02  # nobody does better than the images allow
    assert _closer_than_consensus(run, truth, 40) >= 0.8


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("output", ["fourier", "hartley"])
def test_noisier_images_of_a_rigid_molecule(tmp_path: Path, output: str, seed: int) -> None:
    simulate(Recipe.named("homogeneous", n=2000, box=32, snr=0.3, seed=1020 + seed), tmp_path)
    settings = {"volume.hidden": 96, "volume.output": output, "epochs": 10, "batch_size": 32, "learning_rate": 2e-3}
    run = _trained(tmp_path, "neural-homogeneous", settings, seed)
    curve = fsc(read_map(run.volumes / "map.mrc")[0], Truth.load(tmp_path).mean_map().float())
    assert float(curve[:9].min()) > 0.9
    assert float(fsc_mean(curve)) > 0.75
