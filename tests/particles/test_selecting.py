"""Selections, subsets and half-sets."""

from pathlib import Path

import numpy as np
import pytest

from hypermol.errors import DataError
from hypermol.particles import StackReader, hashed_halves, read_particles, write_selection
from hypermol.particles.halves import stated_halves


def test_a_selection_keeps_every_column(star: Path, tmp_path: Path):
    particles = read_particles(star)
    write_selection(particles, [7, 2, 2, 11], star.parent / "some.star")
    before, after = star.read_text().split("\n"), (star.parent / "some.star").read_text().split("\n")
    rows = [line for line in before if "@" in line]
    assert [line for line in after if "@" in line] == [rows[2], rows[7], rows[11]]
    assert [line for line in after if "@" not in line] == [line for line in before if "@" not in line]
    again = read_particles(star.parent / "some.star")
    np.testing.assert_array_equal(again.rotation, particles.rotation[[2, 7, 11]])
    np.testing.assert_array_equal(again.optics_group, particles.optics_group[[2, 7, 11]])


def test_a_selection_of_a_subset_counts_within_the_subset(star: Path):
    subset = read_particles(star).subset(np.array([9, 4, 6]))
    assert subset.count == 3
    np.testing.assert_array_equal(subset.image_particle, [1, 2, 0])  # images stay in the order of the file
    write_selection(subset, [0], star.parent / "one.star")
    assert read_particles(star.parent / "one.star").image_index.tolist() == [9]


@pytest.mark.parametrize("indices", [[1, 1], [12], [-1]])
def test_impossible_subsets(star: Path, indices: list[int]):
    with pytest.raises(DataError, match="names each particle once"):
        read_particles(star).subset(np.array(indices))


def test_a_plain_stack(star: Path):
    path = star.parent / "particles.mrcs"
    write_selection(read_particles(path), [3, 8], star.parent / "two.mrcs")
    np.testing.assert_array_equal(
        StackReader(star.parent / "two.mrcs").read(np.arange(2)), StackReader(path).read(np.array([3, 8]))
    )
    assert StackReader(star.parent / "two.mrcs").header.pixel_size == pytest.approx(3.1)


@pytest.mark.parametrize(
    ("indices", "name", "message"),
    [
        ([0, 12], "a.star", "particles 12 do not exist; there are 12, counted from 0"),
        ([-1], "a.star", "particles -1 do not exist"),
        ([], "a.star", "nothing is selected"),
        ([1], "a.cs", "give it that ending"),
        ([1], "particles.star", "this is the original file"),
        ([1], "nowhere/a.star", "cannot be written"),
    ],
)
def test_impossible_selections(star: Path, indices: list[int], name: str, message: str):
    before = star.read_bytes()
    with pytest.raises(DataError, match=message):
        write_selection(read_particles(star), indices, star.parent / name)
    assert star.read_bytes() == before
    assert sorted(p.name for p in star.parent.iterdir()) == ["particles.mrcs", "particles.star"]


def test_images_of_particles(shared_data: Path):
    particles = read_particles(shared_data / "cryodrgn_tests/sta_testing_bin8.star")
    images, valid = particles.images_of(np.array([5, 0]))
    assert images.shape == valid.shape == (2, particles.images_per_particle[[5, 0]].max())
    for row, particle in enumerate((5, 0)):
        np.testing.assert_array_equal(images[row][valid[row]], np.flatnonzero(particles.image_particle == particle))
        assert (images[row][~valid[row]] == 0).all()
    part = particles.subset(np.array([5, 0]))
    assert part.images == valid.sum()
    np.testing.assert_array_equal(part.rotation, particles.rotation[[5, 0]])
    again, again_valid = part.images_of(np.array([0, 1]))
    for row in range(2):
        chosen = again[row][again_valid[row]]
        np.testing.assert_array_equal(part.image_index[chosen], particles.image_index[images[row][valid[row]]])
        np.testing.assert_array_equal(part.tilt[chosen], particles.tilt[images[row][valid[row]]])


def test_hashed_halves_belong_to_the_key():
    keys = [f"{i}@stack.mrcs" for i in range(4000)]
    halves = hashed_halves(keys, seed=3)
    assert 0.47 < halves.mean() < 0.53
    np.testing.assert_array_equal(hashed_halves(keys[::-1], seed=3), halves[::-1])
    np.testing.assert_array_equal(hashed_halves(keys[100:200], seed=3), halves[100:200])
    assert 0.45 < (hashed_halves(keys, seed=4) != halves).mean() < 0.55
    copies = hashed_halves([key for key in keys[:50] for _ in range(4)], seed=3).reshape(50, 4)
    assert (copies == copies[:, :1]).all()


def test_few_particles_still_give_two_halves():
    for count in (2, 3, 5):
        for seed in range(20):
            assert set(hashed_halves([str(i) for i in range(count)], seed).tolist()) == {0, 1}
    assert hashed_halves(["one"]).shape == (1,)


def test_stated_halves_need_both():
    assert stated_halves(np.array([0, 1, 1])).tolist() == [0, 1, 1]
    assert stated_halves(np.array([0, 0])) is None
    assert stated_halves(np.array([-1, 0, 1])) is None
    assert stated_halves(None) is None
