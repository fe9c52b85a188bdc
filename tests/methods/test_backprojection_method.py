"""Back projection as a method: through the engine, into a run folder, and out again."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch

from hypermol.maps import read_map
from hypermol.methods import configured, find_method, rebuild, train
from hypermol.metrics import fsc
from hypermol.particles import ImageSource, read_particles
from hypermol.reconstruction import consensus
from hypermol.runs import Run
from hypermol.simulation import Recipe, Truth, simulate


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("backprojection") / "data"
    simulate(Recipe(name="hinge", n=300, box=32, snr=0.5, seed=3), folder)
    return folder


@pytest.fixture(scope="module")
def run(data):
    return train(data / "particles.star", find_method("backprojection"), data.parent / "run", seed=5)


def test_the_engine_gives_what_the_direct_way_gives(data, run):
    """One pass through the loop with checkpoints and the plain function over a source: the same sums."""
    direct = consensus(ImageSource(read_particles(data / "particles.star")), seed=5)
    for name, map_ in direct.named_maps().items():
        stored, pixel_size = read_map(run.volumes / f"{name}.mrc")
        assert pixel_size == pytest.approx(6.0)  # 192 Å across 32 px
        torch.testing.assert_close(stored, map_, rtol=1e-4, atol=1e-5 * float(map_.abs().max()))
    curves = run.curves()
    for name, curve in direct.curves.named().items():
        np.testing.assert_allclose(curves[f"fsc_{name}"], curve.numpy(), atol=1e-4)


def test_map_is_the_truth(data, run):
    curve = fsc(read_map(run.volumes / "consensus.mrc")[0], Truth.load(data).mean_map().float())
    assert float(curve[:9].min()) > 0.9


def test_metrics_say_what_they_rest_on(run):
    metrics = json.loads((run.path / "metrics.json").read_text())
    assert set(metrics) >= {"resolution_unmasked", "resolution_masked", "resolution_corrected"}
    for row in metrics.values():
        assert row["unit"] == "Å"
        assert "accumulators" in row["how"]


def test_rebuilt_method_gives_the_map(run):
    trained = rebuild(Run.open(run.path))
    stored, _ = read_map(run.volumes / "consensus.mrc")
    torch.testing.assert_close(trained.decode(None)[0].cpu(), stored)
    assert trained.decode(torch.zeros(3, 2)).shape == (3, 32, 32, 32)


def test_batch_size_only_rounds(data, run, tmp_path):
    method = configured(find_method("backprojection"), {"batch_size": 77})
    other = train(data / "particles.star", method, tmp_path / "run", seed=5)
    first, second = read_map(run.volumes / "half1.mrc")[0], read_map(other.volumes / "half1.mrc")[0]
    torch.testing.assert_close(first, second, rtol=1e-3, atol=1e-4 * float(first.abs().max()))


def test_nothing_per_particle_is_inferred(run):
    assert not (run.path / "estimates.npz").exists()


@pytest.mark.slow
def test_two_processes_equal_one(data, run, tmp_path):
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "hypermol", "train"]
    given = [data / "particles.star", "-m", "backprojection", "-o", tmp_path / "run", "--set", "seed=5"]
    subprocess.run([*command, *given], check=True, capture_output=True, timeout=240)
    for name in ("half1", "half2", "consensus"):
        one, two = (read_map(folder / "volumes" / f"{name}.mrc")[0] for folder in (run.path, tmp_path / "run"))
        torch.testing.assert_close(two, one, rtol=0, atol=1e-6 * float(one.abs().max()))
