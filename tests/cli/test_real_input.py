"""The experimental sets: what `check` says of each, and the whole way through for those with poses."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from commands import NEURAL, TINY, done, refused, settings

from hypermol.maps import read_map
from hypermol.particles import read_particles

# what `check` must say of each: counts, poses, contrast, header pixel size against the star's, spare images, odd header
SAYS = {
    "cryogan_betagal/betagal101_96px.star": [
        "101 particles, 96 px, 2.548 Å per pixel, in 1 stack",
        "no poses",
        "CTF: defocus 0.67 to 1.34 µm, 300 kV",
        "half-sets: 39 + 62 (hash of the image name, seed 0)",
        "bright particles (contrast +20.8 sigma)",
        "pixels: all 101 images are finite and not constant",
    ],
    "cryodrgn_tests/sta_testing_bin8.star": [
        "219 images of 6 particles, 64 px, 1.96 Å per pixel, in 1 stack",
        "poses: yes",
        "half-sets: 1 + 5 (rlnRandomSubset)",
        "bright particles",
        "note: angles without origins: shifts are taken as zero",
        "ay19102021_L3_position6_ribo_it09_bin8_1.82A.mrcs: the machine stamp is zero; read as little-endian",
        "the header lacks the word MAP",
        "note: the stack's header says 1 Å per pixel, the metadata 1.96 Å (used)",
        "note: 219 images of 6 particles, joined by rlnGroupName",
        "holds 220 images, 219 are used",
    ],
    "cryodrgn_tests/empiar_10076_7.star": [
        "7 particles, 320 px, 1.31 Å per pixel",
        "no poses",
        "dark particles (contrast -7.7 sigma): the sign of all images is flipped",
        "note: the stack's header states no pixel size; the metadata say 1.31 Å",
    ],
    "cryodrgn_tests/empiar_10076_7.cs": [
        "7 particles, 320 px, 1.31 Å per pixel",
        "note: no poses: no alignments3D; give the refinement's file, here or with --passthrough",
        "sign -1 from the file (contrast -7.7 sigma)",
        "note: the stack's header states no pixel size; the metadata say 1.31 Å",
    ],
    "cryodrgn_tests/relion31.star": [
        "5 particles, 256 px, 2.806 Å per pixel",
        "poses: yes",
        "contrast sign unclear",
        "images are taken as they are",
        "relion31.mrcs: the machine stamp is zero; read as little-endian",
        "note: the stack's header says 1 Å per pixel, the metadata 2.806 Å (used)",
    ],
    "aspire_tests/sample_particles_relion30.star": [
        "17 particles, 200 px, 1.338 Å per pixel",
        "poses: yes",
        "CTF: defocus 2.13 to 2.13 µm, 200, 300 kV",
        "optics groups: 2",
        "half-sets: 10 + 7 (rlnRandomSubset)",
        "bright particles",
        "note: the stack's header states no pixel size; the metadata say 1.338 Å",
    ],
}
WITH_POSES = [name for name, words in SAYS.items() if "poses: yes" in words]
SMALL = ("epochs=1", "box=32", *TINY)


@pytest.mark.parametrize("name", SAYS)
def test_check(shared_data: Path, name: str) -> None:
    said = done("check", shared_data / name)
    assert said.err == ""
    for words in SAYS[name]:
        assert words in said.out, said.out


@pytest.mark.parametrize("name", WITH_POSES)
def test_from_particles_to_a_selection(shared_data: Path, tmp_path: Path, name: str) -> None:
    star, run = shared_data / name, tmp_path / "run"
    done(*NEURAL, star, "-o", run, *settings(*SMALL))
    done("analyze", run, "-k", 2, "--points", 3)
    done("report", run)
    assert (run / "report.html").stat().st_size > 10_000
    particles = read_particles(star)
    for path in (run / "volumes").glob("*.mrc"):
        found, pixel_size = read_map(path)
        assert pixel_size == pytest.approx(particles.pixel_size * particles.box / 32, rel=1e-3)
        assert bool(found.isfinite().all())
    said = done("select", run, "--cluster", 0, "-o", tmp_path / "zero.star")
    chosen = read_particles(tmp_path / "zero.star", datadir=star.parent)
    assert f"{chosen.count} of {particles.count} particles" in said.out
    lines = iter(star.read_text().split("\n"))
    assert all(line in lines for line in (tmp_path / "zero.star").read_text().split("\n"))
    done("check", tmp_path / "zero.star", "--datadir", star.parent)


@pytest.mark.parametrize("name", WITH_POSES)
def test_back_projection(shared_data: Path, tmp_path: Path, name: str) -> None:
    said = done("train", shared_data / name, "-m", "backprojection", "-o", tmp_path / "run", *settings("box=32"))
    assert "resolution masked" in said.out
    done("report", tmp_path / "run")


@pytest.mark.parametrize("name", [name for name in SAYS if name not in WITH_POSES])
def test_without_poses(shared_data: Path, tmp_path: Path, name: str) -> None:
    words = ["has no poses, and cryodrgn needs them", "rlnAngleRot", "alignments3D/pose"]
    refused(*NEURAL, shared_data / name, "-o", tmp_path / "run", *settings(*SMALL), words=words)
    assert not (tmp_path / "run").exists()


def test_poses_and_ctf_of_cryodrgn(shared_data: Path, tmp_path: Path) -> None:
    """A plain stack with pickles, as cryoDRGN keeps them; resumed and selected from like any other."""
    folder = shared_data / "cryodrgn_tests"
    given = ("--poses", folder / "sta_pose.pkl", "--ctf", folder / "sta_ctf.pkl")
    star = folder / "sta_testing_bin8.star"
    assert "poses from sta_pose.pkl" in done("check", star, *given).out
    done(*NEURAL, star, *given, "-o", tmp_path / "run", *settings(*SMALL))
    done("select", tmp_path / "run", "--particles", "0,3", "-o", tmp_path / "two.star")
    words = ["expected rotations of shape (101, 3, 3)", "found (219, 3, 3)"]
    refused("check", shared_data / "cryogan_betagal/betagal101_96px.star", *given[:2], words=words)
    refused("check", folder / "hand.mrcs", "--poses", folder / "hand.mrcs", words=["expected a pickle of arrays"])


def test_a_changed_pickle_is_noticed(shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "cryodrgn_tests"
    poses = tmp_path / "poses.pkl"
    shutil.copy(folder / "hand_rot_trans.pkl", poses)
    options = ("-m", "backprojection", "--poses", poses, "--pixel-size", 2.5, "-o", tmp_path / "run")
    done("train", folder / "hand.mrcs", *options, *settings("box=16"))
    assert read_map(tmp_path / "run" / "volumes" / "consensus.mrc")[1] == pytest.approx(2.5 * 64 / 16)
    done("select", tmp_path / "run", "--particles", "2-4", "-o", tmp_path / "three.mrcs")
    np.testing.assert_array_equal(read_particles(tmp_path / "three.mrcs").image_index, range(3))
    poses.chmod(0o644)
    poses.write_bytes(poses.read_bytes() + b"\0")
    refused("select", tmp_path / "run", "--particles", "2", "-o", tmp_path / "x.mrcs", words=["poses.pkl has changed"])
