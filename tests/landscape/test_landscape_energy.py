"""Free energies of a whole analysis: through a method on images, to disk and back, and where there are none."""

import dataclasses

import numpy as np
import pytest

from hypermol.errors import ConfigError
from hypermol.landscape import LandscapeSettings, analyze, landscape_of, load_landscape, save_landscape
from hypermol.methods import configured, find_method, train
from hypermol.simulation import Recipe, Truth, simulate


@pytest.mark.parametrize(("method", "seed"), [("ppca", 3), pytest.param("covariance", 4, marks=pytest.mark.slow)])
def test_populations_of_images_whose_hinge_has_three_positions(tmp_path, method: str, seed: int):
    recipe = Recipe.named("hinge", n=1200, box=24, snr=0.7, seed=seed, levels=3, populations=(0.7, 0.2, 0.1))
    simulate(recipe, tmp_path / "data")
    settings = {"columns": 20, "subspace": 10} if method == "covariance" else {}
    run = train(tmp_path / "data" / "particles.star", configured(find_method(method), settings), tmp_path / "run")
    found = landscape_of(run)
    assert found.energy is not None
    true = np.bincount(Truth.load(tmp_path / "data").state) / 1200
    np.testing.assert_allclose(found.energy.states.population, np.sort(true)[::-1], atol=0.03)
    assert found.path("energy").z.shape[1] == run.estimates()["z"].shape[1]
    assert any(note.startswith("Calibration of z") for note in found.energy.notes[:1])
    unknown = [note for note in found.leakage_notes if "not known" in note]
    assert not any("contrast" in note for note in unknown)  # measured, or a sentence that it is the same for all


def gaussian(count: int = 400, dimensions: int = 2) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    z = 0.8 * random.normal(size=(count, dimensions))
    return z, np.tile(0.36 * np.eye(dimensions), (count, 1, 1))


@pytest.mark.parametrize("dimensions", [1, 2, 3])
def test_written_and_read_again(tmp_path, dimensions: int):
    z, covariance = gaussian(dimensions=dimensions)
    if dimensions == 2:
        z[:100] += 6
    found = analyze(z, covariance=covariance, settings=LandscapeSettings(paths=("pc1",), temperature=310.0))
    save_landscape(found, tmp_path)
    again = load_landscape(tmp_path).energy
    assert found.energy is not None
    assert again is not None
    assert again.notes == found.energy.notes
    assert again.kcal_per_mol == pytest.approx(0.616, abs=1e-3)
    for part in ("density", "states", "path"):
        ours, theirs = getattr(found.energy, part), getattr(again, part)
        assert (ours is None) == (theirs is None)
        for field in dataclasses.fields(ours) if ours is not None else ():
            mine, other = getattr(ours, field.name), getattr(theirs, field.name)
            if isinstance(mine, np.ndarray):
                np.testing.assert_allclose(other, mine, rtol=1e-5, atol=1e-12)
    assert (found.energy.path is not None) == (dimensions == 2)
    assert (tmp_path / "free-energy.png").read_bytes()[1:4] == b"PNG"
    rows = (tmp_path / "free-energy.csv").read_text().splitlines()
    assert rows[0].endswith("density,kt,kt_error,kcal_per_mol,kcal_per_mol_error,state")
    energies = np.array([[float(word) for word in row.split(",")] for row in rows[1:]])[:, -6:]
    np.testing.assert_allclose(energies[:, 3], 0.616 * energies[:, 1], rtol=2e-3, atol=1e-4)
    shares = (tmp_path / "states.csv").read_text().splitlines()[1:]
    assert sum(float(row.split(",")[1]) for row in shares) == pytest.approx(1, abs=1e-4)
    save_landscape(analyze(z, settings=LandscapeSettings(paths=("pc1",))), tmp_path)
    assert load_landscape(tmp_path).energy is None
    assert not (tmp_path / "free-energy.png").exists()


def test_one_gaussian_is_one_basin_with_the_parabola_of_its_own_variance():
    z, covariance = gaussian(3000, 1)
    found = analyze(z, covariance=covariance, settings=LandscapeSettings(paths=())).energy
    assert found is not None
    assert found.states.count == 1
    at, energy = found.density.grid.axes[0], found.density.free_energy()
    inside = np.abs(at) < 1.5
    curvature = np.polyfit(at[inside], energy[inside], 2)[0]  # of a variance of 1: the means have 0.64, the rest 0.36
    assert 0.4 < curvature < 0.6


def test_what_cannot_be_measured_is_said():
    z, covariance = gaussian()
    settings = LandscapeSettings(paths=())
    for given, words in (
        ({"z": z}, "states no uncertainty"),
        ({"z": z[:40], "covariance": covariance[:40]}, "need 100 particles"),
        ({"z": z, "covariance": covariance * np.nan}, "not finite"),
        ({"z": z, "covariance": covariance * 0}, "expected positive posterior variances"),
    ):
        found = analyze(**given, settings=settings)
        assert found.energy is None
        assert any(words in note for note in found.notes), words
    with pytest.raises(ConfigError, match="kelvin"):
        analyze(z, settings=LandscapeSettings(temperature=-3))
