"""Leakage is found where it was put, with the share that was put, and not found where there is none."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hypermol.landscape import check_latent, measure_leakage
from hypermol.landscape.leakage import in_plane_functions, view_functions
from hypermol.landscape.prediction import group_score, make_folds, prediction_scores, prepare

SIZE = 3000


@pytest.fixture
def clean():
    random = np.random.default_rng(0)
    return {
        "z": random.normal(size=(SIZE, 4)),
        "rotation": Rotation.random(SIZE, random_state=1).as_matrix(),
        "micrograph": np.array([f"mic-{number:03d}" for number in np.arange(SIZE) // 30]),
        "defocus": np.repeat(random.uniform(10_000, 25_000, SIZE // 30), 30),
        "contrast": random.normal(1, 0.1, SIZE),
    }


def measured(columns, **options):
    columns = dict(columns)
    found, notes = measure_leakage(check_latent(columns.pop("z")), **columns, **options)
    return {item.target: item for item in found}, notes


def test_clean_latents_are_called_clean(clean):
    found, notes = measured(clean)
    assert set(found) == {"viewing direction", "in-plane angle", "defocus", "contrast", "micrograph"}
    assert not notes
    for item in found.values():
        assert item.verdict == "none", item.sentence
        assert item.score < 0.01
        assert "nothing" in item.sentence


def test_false_alarms_are_rare(clean):
    alarms = 0
    for seed in range(4):
        z = np.random.default_rng(100 + seed).normal(size=(500, 8))
        part = {name: column[:500] for name, column in clean.items() if name != "z"}
        found, _ = measured({"z": z, **part}, seed=seed)
        alarms += sum(item.verdict != "none" for item in found.values())
    assert alarms <= 1


def direction(clean):
    return clean["rotation"][:, 2, 1]


def opposite_views_alike(clean):
    return clean["rotation"][:, 2, 2] ** 2


def in_plane(clean):
    return np.cos(Rotation.from_matrix(clean["rotation"]).inv().as_euler("ZYZ")[:, 2])


def per_micrograph(clean):
    return np.repeat(np.random.default_rng(9).normal(size=SIZE // 30), 30)


@pytest.mark.parametrize(
    ("source", "target"),
    [
        (direction, "viewing direction"),
        (opposite_views_alike, "viewing direction"),
        (in_plane, "in-plane angle"),
        (lambda clean: np.log(clean["defocus"]), "defocus"),
        (lambda clean: clean["contrast"], "contrast"),
        (per_micrograph, "micrograph"),
    ],
)
def test_what_was_put_into_z_is_found(clean, source, target):
    z = clean["z"].copy()
    signal = source(clean)
    z[:, 2] = 2 * (signal - signal.mean()) / signal.std() + 0.3 * z[:, 2]
    found, _ = measured({**clean, "z": z})
    assert found[target].verdict == "clear", found[target].sentence
    assert found[target].score > 0.05
    others = {"defocus", "micrograph"} if target in ("defocus", "micrograph") else {target}
    for name in set(found) - others:
        assert found[name].verdict == "none", found[name].sentence


def test_the_share_is_the_one_that_was_put(clean):
    """R² of a linear signal with known noise: variance 1 of 1 + 1; of group means: σ_b²/(σ_b² + σ_w²) per column."""
    random = np.random.default_rng(4)
    folds = make_folds(SIZE, None, 0)
    features = random.normal(size=(SIZE, 3))
    target = (features[:, :1] + random.normal(size=(SIZE, 1))).astype(float)
    score, error = prediction_scores(prepare(features, folds), [target])
    assert score == pytest.approx(0.5, abs=4 * error)
    group = np.arange(SIZE) // 100
    values = random.normal(size=(30, 2))[group] * np.sqrt(0.5) + random.normal(size=(SIZE, 2)) * np.sqrt(0.5)
    assert group_score(values, group, folds)[0] == pytest.approx(0.5, abs=0.12)
    assert abs(group_score(random.normal(size=(SIZE, 2)), group, folds)[0]) < 0.01


def test_direction_and_in_plane_functions_follow_the_conventions():
    euler = np.random.default_rng(0).uniform([-180, 5, -180], [180, 175, 180], (50, 3))
    rotation = Rotation.from_euler("ZYZ", euler, degrees=True).inv().as_matrix()
    psi = np.deg2rad(euler[:, 2])
    first, second = in_plane_functions(rotation)
    np.testing.assert_allclose(first, np.stack([np.cos(psi), np.sin(psi)], 1), atol=1e-12)
    np.testing.assert_allclose(second, np.stack([np.cos(2 * psi), np.sin(2 * psi)], 1), atol=1e-12)
    seen = view_functions(rotation)
    np.testing.assert_allclose(seen[0], np.einsum("nij,i->nj", rotation, [0, 0, 1]), atol=1e-12)
    grid = Rotation.random(200_000, random_state=0).as_matrix()
    covariance = np.cov(view_functions(grid)[1].T)
    np.testing.assert_allclose(covariance, np.eye(5) / 15, atol=2e-3)


def test_folds_never_split_a_micrograph(clean):
    folds = make_folds(SIZE, clean["micrograph"], 0)
    for number in np.unique(clean["micrograph"]):
        assert len(set(folds.number[clean["micrograph"] == number])) == 1
    counts = np.bincount(folds.number)
    assert counts.min() > 0.9 * SIZE / 5


def test_what_cannot_be_measured_is_said(clean):
    _, notes = measured({"z": clean["z"]})
    words = "viewing direction, in-plane angle, defocus, contrast and micrograph"
    assert notes == (f"Leakage was not measured for {words}: not known for these particles.",)
    _, notes = measured({"z": clean["z"][:20], "defocus": clean["defocus"][:20]})
    assert "too few" in notes[0]
    _, notes = measured({"z": clean["z"], "defocus": np.full(SIZE, 9000.0), "contrast": np.full(SIZE, np.nan)})
    assert any("defocus was not measured: it is the same" in note for note in notes)
    assert any("only 0 particles have a value" in note for note in notes)
    _, notes = measured({"z": clean["z"], "micrograph": np.arange(SIZE)})
    assert any("two micrographs" in note for note in notes)


def test_the_seed_alone_decides(clean):
    first, second = measured(clean, seed=3)[0], measured(clean, seed=3)[0]
    assert first == second
