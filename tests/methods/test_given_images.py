"""Equal metadata are not equal data: the images of a run are known by a fingerprint, older runs still resume."""

import dataclasses
import shutil

import numpy as np
import pytest

from hypermol.errors import ConfigError, DataError
from hypermol.methods.given import Given
from hypermol.particles import StackWriter, images_fingerprint, read_particles
from hypermol.particles.identity import SAMPLED
from hypermol.runs import fingerprint
from hypermol.simulation import Recipe, Truth, simulate
from hypermol.validation.agreement import _require_same_particles
from hypermol.validation.evaluate import _require_same_data

COUNT, BOX = 30, 16


@pytest.fixture(scope="module")
def star(tmp_path_factory):
    folder = tmp_path_factory.mktemp("given") / "data"
    return simulate(Recipe.named("hinge", n=COUNT, box=BOX, snr=0.5, seed=3), folder) / "particles.star"


@pytest.fixture(scope="module")
def other(tmp_path_factory, star):
    """The same poses, CTF and halves, another noise level."""
    folder = tmp_path_factory.mktemp("given") / "other"
    made = simulate(Recipe.named("hinge", n=COUNT, box=BOX, snr=5.0, seed=3), folder) / "particles.star"
    assert fingerprint(star) == fingerprint(made)
    return made


def config_of(star):
    return Given.at(star).to_config(read_particles(star))


def test_two_sets_of_equal_metadata_differ(star, other):
    assert images_fingerprint(read_particles(star)) != images_fingerprint(read_particles(other))
    assert config_of(star)["fingerprint"] == config_of(other)["fingerprint"]


def test_a_copy_elsewhere_is_the_same(star, tmp_path):
    shutil.copytree(star.parent, tmp_path / "moved")
    copied = read_particles(tmp_path / "moved" / "particles.star")
    assert images_fingerprint(copied) == images_fingerprint(read_particles(star))


def test_other_images_under_the_same_names_are_refused(star, other, tmp_path):
    shutil.copytree(star.parent, tmp_path / "data")
    path = tmp_path / "data" / "particles.star"
    kept = config_of(path)
    assert Given.in_config(kept).read().count == COUNT
    shutil.copy(other.parent / "particles.mrcs", path.with_name("particles.mrcs"))
    with pytest.raises(ConfigError, match=r"its images \(.*particles.mrcs\) are not those"):
        Given.in_config(kept).read()
    kept.pop("images_fingerprint")  # a run from before they were looked at
    assert Given.in_config(kept).read().count == COUNT


def test_runs_on_equal_metadata_are_not_compared(star, other):
    class Kept:
        def __init__(self, star):
            self.path, self.config = star.parent, {"input": config_of(star)}

    first, second = Kept(star), Kept(other)
    _require_same_particles(first, first)
    with pytest.raises(ConfigError, match="their particles differ"):
        _require_same_particles(first, second)
    second.config["input"].pop("images_fingerprint")
    _require_same_particles(first, second)


def test_a_run_is_evaluated_against_its_own_images_only(star, other):
    class Kept:
        path, config = star.parent, {"input": config_of(star)}

    _require_same_data(Kept, Truth.load(star.parent))
    with pytest.raises(ConfigError, match="with its images"):
        _require_same_data(Kept, Truth.load(other.parent))


def test_large_sets_are_sampled_and_sizes_count(star, tmp_path):
    """Of 3 × ``SAMPLED`` images one that is not drawn may change, one that is drawn may not."""
    count = 3 * SAMPLED
    drawn = np.unique(np.random.default_rng(0).integers(count, size=SAMPLED))
    images = np.random.default_rng(1).normal(size=(count, BOX, BOX)).astype(np.float32)
    known, spare = read_particles(star), np.setdiff1d(np.arange(count), drawn)

    def mark(changed=None, add=0):
        path = tmp_path / "x.mrcs"
        values = images.copy()
        if changed is not None:
            values[changed] += 1
        with StackWriter(path, BOX, 3.0) as stack:
            stack.append(np.concatenate([values, values[:add]]))
        every = np.arange(count)
        larger = {"image_stack": every * 0, "image_index": every, "image_particle": every, "stacks": (path,)}
        return images_fingerprint(dataclasses.replace(known, **larger))

    assert mark() == mark() == mark(spare[0])
    assert mark() != mark(drawn[5])
    assert mark() != mark(add=1)
    with pytest.raises(DataError, match="cannot be read as a stack"):
        images_fingerprint(dataclasses.replace(known, stacks=(tmp_path / "absent.mrcs",)))
