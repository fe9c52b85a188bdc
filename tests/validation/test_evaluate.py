"""`evaluate` and the benchmarks' score are one ruler; junk is no particle to it; circles and states have their own."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from hypermol.benchmarks import Answer
from hypermol.benchmarks.scoring import score
from hypermol.metrics import fsc, fsc_mean, gain
from hypermol.simulation import GAIN, MEAN, MOVING, Recipe, Truth, gain_of, map_curves, simulate, truth_masks
from hypermol.validation.evaluate import conformation_figures, map_figures, own_classes


def made(folder, name, **settings):
    simulate(Recipe.named(name, n=settings.pop("n", 120), box=16, snr=1.0, **settings), folder)
    return Truth.load(folder)


def trained(folder, truth, maps):
    """A finished method that shows ``maps(particle)``."""
    run = SimpleNamespace(path=folder / "run", volumes=folder / "run" / "volumes", estimates=dict)
    given = SimpleNamespace(needs_poses=True)
    return SimpleNamespace(run=run, method=given, box=truth.box, map_of=maps, has_latent=True)


def values(figures):
    return {name: entry["value"] for name, entry in figures.items()}


def quiet(done, total):
    pass


def test_the_same_numbers_as_the_benchmarks(tmp_path):
    truth = made(tmp_path / "data", "hinge")
    noise = torch.Generator().manual_seed(0)
    drawn = {i: truth.map(i) + 0.2 * torch.randn(truth.box, truth.box, truth.box, generator=noise) for i in range(120)}
    z = truth.conformation + np.random.default_rng(0).normal(size=(120, 1)) * 10
    ours = values(
        conformation_figures(z, truth) | map_figures(trained(tmp_path, truth, drawn.__getitem__), truth, 20, quiet)
    )
    rows = np.sort(np.random.default_rng(0).choice(120, 20, replace=False))
    theirs = values(score(truth, Answer(z=z, maps=lambda chosen: (drawn[int(i)] for i in chosen)), rows, {}))
    assert ours["|Spearman| of best direction"] == theirs["|Spearman|"]
    assert ours["R² of best direction"] == theirs["R²"]
    assert ours["FSC of maps at z, whole map"] == theirs["FSC of maps at z"]
    assert ours["FSC of noise-free mean map, whole map"] == theirs["FSC of the noise-free mean map"]
    assert ours[GAIN] == theirs[GAIN]


def test_map_curves_against_a_plain_loop(tmp_path):
    truth = made(tmp_path / "data", "hinge", n=30)
    rows, mean, mask = np.array([1, 4, 5, 9, 11, 12, 17, 20, 29]), truth.mean_map(), truth.moving_mask().float()
    found = [truth.map(int(i) - 1).float() for i in rows]
    curves = map_curves(truth, rows, iter(found), {MEAN: mean}, truth_masks(truth))
    loop = torch.stack([fsc(f, truth.map(int(i)).float(), mask) for i, f in zip(rows, found)])
    of_mean = torch.stack([fsc(mean.float(), truth.map(int(i)).float(), mask) for i in rows])
    torch.testing.assert_close(curves[MOVING]["z"], loop, atol=1e-6, rtol=0)
    torch.testing.assert_close(curves[MOVING][MEAN], of_mean, atol=1e-6, rtol=0)
    assert gain_of(curves) == pytest.approx(float(gain(loop.mean(0), of_mean.mean(0))), abs=1e-6)
    assert float(fsc_mean(curves[MOVING]["z"]).mean()) < 1


def test_junk_is_never_drawn(tmp_path):
    truth = made(tmp_path / "data", "hinge", junk=0.5)
    asked = []

    def maps(particle):
        asked.append(particle)
        return truth.map(particle)

    found = values(map_figures(trained(tmp_path, truth, maps), truth, 100, quiet))
    assert sorted(asked) == truth.intact.tolist()
    assert found["gain in the moving domain"] == pytest.approx(1, abs=1e-4)
    z = np.nan_to_num(truth.conformation, nan=-1e3) + np.random.default_rng(0).normal(size=(120, 1))
    assert values(conformation_figures(z, truth))["R² of best direction"] > 0.9


def test_a_circle_is_limited_by_the_cosine_and_sine(tmp_path):
    """Every particle's posterior is narrow at this noise, also across 0° = 360°, where a linear mean would fail."""
    truth = made(tmp_path / "data", "circular1d", n=200)
    angle = np.deg2rad(truth.conformation[:, 0])
    found = values(conformation_figures(np.stack([np.cos(angle), np.sin(angle)], 1), truth))
    assert found["R² of best direction"] == pytest.approx(1, abs=1e-6)
    assert found["R² of the images' own limit"] > 0.9
    assert found["|Spearman| of the images' own limit"] > 0.9


def test_states_are_told_apart_and_not_ordered(tmp_path):
    truth = made(tmp_path / "data", "discrete10", n=200)
    draws = np.random.default_rng(0)
    code = np.eye(10)[truth.state]
    found = values(conformation_figures(code + 0.01 * draws.normal(size=code.shape), truth))
    assert found["states told apart"] == 100
    assert found["adjusted Rand index of clusters of z"] == pytest.approx(1)
    assert found["confusion error of clusters of z"] == 0
    assert 10 < found["states told apart, the images' own limit"] <= 100
    assert not any("Spearman" in name for name in found)
    nothing = values(conformation_figures(draws.normal(size=(200, 3)), truth))
    assert nothing["states told apart"] < 40
    assert abs(nothing["adjusted Rand index of clusters of z"]) < 0.1


def test_a_method_with_classes_is_held_against_the_states(tmp_path):
    truth = made(tmp_path / "data", "discrete10", n=100)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "estimates.npz").touch()
    probability = np.eye(10)[(truth.state + 3) % 10]  # the same classes by other names
    run = SimpleNamespace(path=tmp_path / "run", estimates=lambda: {"class_probability": probability})
    found = values(own_classes(SimpleNamespace(run=run), truth))
    assert found["confusion error of the method's classes"] == 0
    assert found["least recall of a state by the method's classes"] == 100
