"""Components and clusters against scipy and scikit-learn, and what happens with poor z."""

import numpy as np
import pytest
import scipy.linalg

from hypermol.errors import DataError
from hypermol.landscape import (
    analyze,
    check_latent,
    class_clusters,
    density_clusters,
    kmeans_clusters,
    principal_components,
)


@pytest.fixture
def three_groups():
    random = np.random.default_rng(3)
    centres = np.array([[0.0, 0, 0], [8, 0, 0], [0, 9, 0]])
    truth = random.integers(0, 3, 900)
    return centres[truth] + random.normal(size=(900, 3)), truth


def test_components_agree_with_a_singular_value_decomposition(three_groups):
    z, _ = three_groups
    found = principal_components(check_latent(z))
    _, singular, vectors = scipy.linalg.svd(z - z.mean(axis=0), full_matrices=False)
    np.testing.assert_allclose(found.variance, singular**2 / (len(z) - 1))
    np.testing.assert_allclose(np.abs((found.axes * vectors).sum(axis=1)), 1.0)
    np.testing.assert_allclose(found.restore(found.project(z)), z, atol=1e-12)
    np.testing.assert_allclose(found.project(z).var(axis=0, ddof=1), found.variance)
    assert found.ratio.sum() == pytest.approx(1.0)


@pytest.mark.parametrize("method", [lambda *a: kmeans_clusters(*a, k=3), density_clusters])
def test_separate_groups_are_found_with_particles_as_centres(three_groups, method):
    z, truth = three_groups
    latent = check_latent(z)
    components = principal_components(latent)
    found = method(latent, components)
    assert found.count == 3
    for number in range(3):
        members = found.label == number
        assert np.bincount(truth[members]).max() > 0.98 * members.sum()
        assert found.size[number] == members.sum()
        assert found.label[found.particle[number]] == number
        distance = np.linalg.norm(z[members] - z[members].mean(axis=0), axis=1)
        np.testing.assert_array_equal(found.centre[number], z[members][np.argmin(distance)])
    along = components.project(found.centre)[:, 0]
    assert (np.diff(along) > 0).all()


def test_one_cloud_is_called_a_continuum():
    z = np.random.default_rng(0).normal(size=(2000, 4))
    latent = check_latent(z)
    found = density_clusters(latent, principal_components(latent))
    assert found.count < 2
    assert "one cloud" in found.notes[0]


def test_the_seed_alone_decides(three_groups):
    z, _ = three_groups
    latent = check_latent(z)
    components = principal_components(latent)
    first, second = (kmeans_clusters(latent, components, k=7, seed=5) for _ in range(2))
    np.testing.assert_array_equal(first.label, second.label)


def test_particles_without_z_are_left_out_and_counted(three_groups):
    z, _ = three_groups
    z = z.copy()
    z[[4, 17], [0, 1]] = np.nan, np.inf
    latent = check_latent(z)
    assert latent.size == 898
    assert "2 of 900" in latent.notes[0]
    found = kmeans_clusters(latent, principal_components(latent), k=3)
    assert (np.flatnonzero(found.label < 0) == [4, 17]).all()
    assert not {4, 17} & set(found.particle)


def test_poor_z_gives_sentences():
    constant = check_latent(np.full((60, 2), 0.3))
    components = principal_components(constant)
    assert "collapse" in " ".join(constant.notes)
    assert (components.ratio == 0).all()
    assert kmeans_clusters(constant, components).count == 1
    few = check_latent(np.arange(4.0))
    assert "Only 4 particles" in few.notes[0]
    found = kmeans_clusters(few, principal_components(few))
    assert found.count == 4
    assert "Only 4 of 10" in found.notes[0]
    assert density_clusters(few, principal_components(few)).count == 0


@pytest.mark.parametrize("z", [np.full((5, 2), np.nan), np.zeros((3, 4, 5)), np.zeros((3, 0))])
def test_unusable_z_is_refused(z):
    with pytest.raises(DataError, match="z"):
        check_latent(z)


@pytest.fixture
def three_classes():
    """Posteriors over three classes, and the z that a run of classes writes: their mean place."""
    random = np.random.default_rng(8)
    own = np.array([[-1.0, 0.2], [1.0, 0.1], [0.3, 2.0]])
    logits = 6 * np.eye(3)[random.integers(0, 3, 500)] + random.normal(scale=2, size=(500, 3))
    probability = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return probability @ own, probability, own


def test_classes_are_the_clusters_of_a_run_that_has_some(three_classes):
    z, probability, own = three_classes
    z = np.concatenate([z, [[np.nan, np.nan]]])
    probability = np.concatenate([probability, [[1.0, 0, 0]]])
    found = analyze(z, class_probability=probability).clusters
    assert found.of_classes
    assert found.count == 3
    np.testing.assert_allclose(found.centre, own, atol=1e-9)
    np.testing.assert_array_equal(found.label, [*probability[:-1].argmax(1), -1])
    np.testing.assert_array_equal(found.size, np.bincount(found.label[:-1]))
    surest = np.linalg.norm(z[:-1, None] - own, axis=2).argmin(axis=0)
    np.testing.assert_array_equal(found.particle, surest)
    assert [found.name(number) for number in range(3)] == ["class 1", "class 2", "class 3"]


def test_classes_are_walked_between_the_two_most_different(three_classes):
    z, probability, own = three_classes
    found = analyze(z, class_probability=probability)
    (path,) = found.paths
    np.testing.assert_allclose(path.z[[0, -1]], own[[0, 2]], atol=1e-9)
    assert path.title == "From class 1 to class 3, mixed"
    assert found.density.count == 0
    assert found.energy is None
    assert found.embedding is None
    assert not any("continuum" in note or "cloud" in note for note in found.notes)


def test_an_empty_class_has_no_particles_and_no_error():
    random = np.random.default_rng(1)
    probability = np.zeros((60, 3))
    probability[:, :2] = random.dirichlet([0.3, 0.3], 60)
    found = class_clusters(check_latent(probability @ np.array([[-1.0, 0], [1, 0], [0, 3]])), probability)
    assert found.size[2] == 0
    np.testing.assert_allclose(found.centre, [[-1, 0], [1, 0], [0, 0]], atol=1e-9)


def test_classes_do_not_leak_what_blurs_their_posteriors():
    """Mean posteriors lie between the classes where an image is noisy: read as it is, z would tell the defocus."""
    random = np.random.default_rng(4)
    defocus = random.uniform(5e3, 3e4, 3000)
    sure = 4.0 * (defocus - 5e3) / 2.5e4
    state = random.random(3000) < 0.3
    logit = random.normal(np.where(state, 1, -1) * sure**2 / 2, sure) + np.log(0.3 / 0.7)
    second = 1 / (1 + np.exp(-logit))
    probability = np.stack([1 - second, second], axis=1)
    z = probability @ np.array([[-1.0, 0], [1.0, 0]])
    naive = {item.target: item for item in analyze(z, defocus=defocus).leakage}
    drawn = {item.target: item for item in analyze(z, defocus=defocus, class_probability=probability).leakage}
    assert naive["defocus"].verdict == "clear"
    assert drawn["defocus"].verdict != "clear"
