"""Components and clusters against scipy and scikit-learn, and what happens with poor z."""

import numpy as np
import pytest
import scipy.linalg

from hypermol.errors import DataError
from hypermol.landscape import check_latent, density_clusters, kmeans_clusters, principal_components


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
