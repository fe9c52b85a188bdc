"""A project that was moved: what says so, and a run told where its files are now."""

import shutil

import pytest

from hypermol.cli import main
from hypermol.errors import ConfigError, DataError
from hypermol.methods import configured, find_method, relocate, run_particles, train
from hypermol.runs import Run
from hypermol.simulation import Recipe, simulate


@pytest.fixture
def moved(tmp_path):
    simulate(Recipe(name="hinge", n=60, box=16, snr=1.0, seed=0), tmp_path / "old")
    run = train(tmp_path / "old" / "particles.star", configured(find_method("backprojection"), {}), tmp_path / "run")
    (tmp_path / "old").rename(tmp_path / "new")
    return run, tmp_path / "new"


def test_a_run_finds_its_particles_again(moved, capsys):
    run, folder = moved
    with pytest.raises(ConfigError, match=r"say where it is now: `hypermol relocate .*run --particles FILE`"):
        run_particles(run)
    assert main(["relocate", str(run.path), "--particles", str(folder / "particles.star")]) == 0
    assert "60 particles" in capsys.readouterr().out
    assert run_particles(Run.open(run.path)).count == 60


def test_images_moved_apart_from_their_star(moved):
    run, folder = moved
    relocate(run, folder / "particles.star")
    elsewhere = folder.parent / "images"
    elsewhere.mkdir()
    shutil.move(folder / "particles.mrcs", elsewhere)
    with pytest.raises(DataError, match=r"if the images have been moved: `hypermol relocate"):
        run_particles(run)
    relocate(run, datadir=elsewhere)
    assert run_particles(run).stacks[0].parent == elsewhere


def test_other_particles_are_refused_and_nothing_is_changed(moved):
    run, folder = moved
    simulate(Recipe(name="hinge", n=60, box=16, snr=1.0, seed=1), folder.parent / "other")
    before = (run.path / "config.toml").read_text()
    with pytest.raises(ConfigError, match="has changed since"):
        relocate(run, folder.parent / "other" / "particles.star")
    shutil.copy(folder.parent / "other" / "particles.mrcs", folder / "particles.mrcs")
    with pytest.raises(ConfigError, match="its images"):
        relocate(run, folder / "particles.star")
    assert (run.path / "config.toml").read_text() == before
