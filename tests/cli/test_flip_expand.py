"""The other hand, and one row per equivalent pose: files that say the same of the images as before."""

import shutil
import subprocess

import numpy as np
import pytest
import torch

from hypermol.cli.main import main
from hypermol.imaging import symmetry_rotations
from hypermol.kernels import volume_to_grid
from hypermol.maps import read_map
from hypermol.methods import find_method, train
from hypermol.metrics import fsc
from hypermol.particles import ImageSource, read_particles
from hypermol.poses import ScoredImages
from hypermol.runs import Run
from hypermol.simulation import Recipe, simulate


@pytest.fixture(scope="module")
def posed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("posed")
    simulate(Recipe(name="homogeneous", n=60, box=24, snr=1.0, seed=2), folder / "data")
    train(folder / "data" / "particles.star", find_method("backprojection"), folder / "run")
    return folder


def likelihood(star, map_path, home):
    """Log-likelihood of every image at its stated pose under a map."""
    particles = read_particles(star, datadir=home)
    source = ImageSource(particles)
    images = ScoredImages.of(next(iter(source.stream([torch.arange(particles.count)]))))
    rotation = torch.from_numpy(particles.rotation)[:, None].float()
    shift = torch.from_numpy(particles.shift)[:, None].float() / particles.pixel_size
    return images.log_likelihood(volume_to_grid(read_map(map_path)[0]), rotation, shift)[0][:, 0]


def test_a_flipped_run_explains_the_images_as_well(posed):
    out = posed / "flipped"
    assert main(["flip", str(posed / "run"), "-o", str(out)]) == 0
    data, run = posed / "data", Run.open(posed / "run")
    before = likelihood(data / "particles.star", run.volumes / "consensus.mrc", data)
    after = likelihood(out / "particles.star", out / "volumes" / "consensus.mrc", data)
    mixed = likelihood(data / "particles.star", out / "volumes" / "consensus.mrc", data)
    torch.testing.assert_close(after, before, rtol=2e-3, atol=0.0)  # the planes at Nyquist are not mirrored
    assert float((before - mixed).mean()) > 1
    assert {path.name for path in (out / "volumes").iterdir()} == {p.name for p in run.volumes.glob("*.mrc")}


def test_twice_is_nothing(posed, tmp_path):
    star, map_ = posed / "data" / "particles.star", posed / "run" / "volumes" / "consensus.mrc"
    for source, ending in ((map_, ".mrc"), (star, ".star")):
        once, twice = tmp_path / f"once{ending}", tmp_path / f"twice{ending}"
        if ending == ".star":
            (tmp_path / "particles.mrcs").symlink_to(posed / "data" / "particles.mrcs")
        assert main(["flip", str(source), "-o", str(once)]) == 0
        assert main(["flip", str(once), "-o", str(twice)]) == 0
    inside = fsc(read_map(tmp_path / "twice.mrc")[0], read_map(map_)[0])
    assert float(inside.min()) > 0.9999
    again = read_particles(tmp_path / "twice.star")
    np.testing.assert_allclose(again.rotation, read_particles(star).rotation, atol=1e-6)
    assert main(["flip", str(star), "-o", str(tmp_path / "once.star")]) == 2  # it is there already


def test_tilted_images_fix_the_hand(tmp_path, capsys):
    simulate(Recipe(name="homogeneous", n=6, box=24, tilts_deg=(0.0, 45.0)), tmp_path / "data")
    assert main(["flip", str(tmp_path / "data" / "particles.star"), "-o", str(tmp_path / "out.star")]) == 2
    assert "fix the hand" in capsys.readouterr().err


def test_expansion_lists_every_equivalent_pose(posed, tmp_path):
    star, out = posed / "data" / "particles.star", tmp_path / "expanded.star"
    (tmp_path / "particles.mrcs").symlink_to(posed / "data" / "particles.mrcs")
    assert main(["expand", str(star), "--symmetry", "D2", "-o", str(out)]) == 0
    before, after = read_particles(star), read_particles(out)
    assert after.count == 4 * before.count
    expected = (before.rotation[:, None] @ symmetry_rotations("D2").numpy()).reshape(-1, 3, 3)
    np.testing.assert_allclose(after.rotation, expected, atol=1e-6)
    np.testing.assert_allclose(after.shift, before.shift.repeat(4, axis=0), atol=1e-5)
    np.testing.assert_array_equal(after.half, before.half.repeat(4))
    np.testing.assert_allclose(after.ctf.defocus_u, before.ctf.defocus_u.repeat_interleave(4))


@pytest.mark.parametrize("group", ["C3", "T"])
def test_expansion_equals_relion(posed, tmp_path, group):
    if shutil.which("relion_particle_symmetry_expand") is None:
        pytest.skip("RELION is not installed")
    star, ours, theirs = posed / "data" / "particles.star", tmp_path / "ours.star", tmp_path / "theirs.star"
    (tmp_path / "particles.mrcs").symlink_to(posed / "data" / "particles.mrcs")
    assert main(["expand", str(star), "--symmetry", group, "-o", str(ours)]) == 0
    command = ["relion_particle_symmetry_expand", "--i", str(star), "--o", str(theirs), "--sym", group]
    subprocess.run(command, check=True, capture_output=True)
    found, expected = (read_particles(path).rotation.reshape(60, -1, 3, 3) for path in (ours, theirs))
    apart = np.abs(found[:, :, None] - expected[:, None]).max((3, 4))
    assert found.shape == expected.shape
    assert apart.min(1).max() < 1e-4


def test_what_cannot_be_expanded_is_refused(posed, tmp_path, capsys):
    star = posed / "data" / "particles.star"
    assert main(["expand", str(star), "--symmetry", "C1", "-o", str(tmp_path / "a.star")]) == 2
    assert "no other pose" in capsys.readouterr().err
    assert main(["expand", str(star), "--symmetry", "Q3", "-o", str(tmp_path / "a.star")]) == 2
    assert "expected C1" in capsys.readouterr().err
