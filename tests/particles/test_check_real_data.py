"""What check says of each experimental set: the table of its oddities."""

from pathlib import Path

import numpy as np
import pytest

from hypermol.particles import check_particles, read_particles, write_selection

# file: (particles, images, box, pixel Å, poses, sign, words that the report must hold)
EXPECTED = {
    "cryogan_betagal/betagal101_96px.star": (101, 101, 96, 2.548, False, 1, ["bright particles"]),
    "cryodrgn_tests/sta_testing_bin8.star": (
        6, 219, 64, 1.96, True, 1,
        [
            "219 images of 6 particles",
            "the machine stamp is zero",
            "the header lacks the word MAP",
            "header says 1 Å per pixel, the metadata 1.96 Å",
            "holds 220 images, 219 are used",
            "half-sets: 1 + 5 (rlnRandomSubset)",
            "shifts are taken as zero",
        ],
    ),
    "cryodrgn_tests/empiar_10076_7.star": (
        7, 7, 320, 1.31, False, -1,
        ["dark particles", "the sign of all images is flipped", "header states no pixel size; the metadata say 1.31 Å"],
    ),
    "cryodrgn_tests/empiar_10076_7.cs": (
        7, 7, 320, 1.31, False, -1, ["sign -1 from the file", "no alignments3D", "header states no pixel size"],
    ),
    "cryodrgn_tests/relion31.star": (
        5, 5, 256, 2.806, True, 1,
        ["contrast sign unclear", "machine stamp is zero", "header says 1 Å per pixel, the metadata 2.806 Å"],
    ),
    "aspire_tests/sample_particles_relion30.star": (
        17, 17, 200, 1.338, True, 1, ["bright particles", "optics groups: 2", "header states no pixel size"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", EXPECTED)
def test_experimental_sets(shared_data: Path, name: str):
    count, images, box, pixel_size, poses, sign, words = EXPECTED[name]
    particles = read_particles(shared_data / name)
    report = check_particles(particles)
    text = "\n".join(report.lines())
    assert (particles.count, particles.images, particles.box) == (count, images, box)
    assert particles.pixel_size == pytest.approx(pixel_size, rel=1e-3)
    assert report.problems == ()
    assert report.sign == sign
    assert report.checked == images
    assert ("no poses" not in text) == poses
    for word in words:
        assert word in text, text


@pytest.mark.parametrize("name", EXPECTED)
def test_selections_of_experimental_sets(shared_data: Path, tmp_path: Path, name: str):
    """Half of the particles; every line of the selection is a line of the original, and it reads as the subset."""
    source = shared_data / name
    particles = read_particles(source)
    chosen = np.arange(1, particles.count, 2)
    out = tmp_path / f"half{source.suffix}"
    write_selection(particles, chosen, out)
    again, expected = read_particles(out, datadir=source.parent), particles.subset(chosen)
    np.testing.assert_array_equal(again.image_index, expected.image_index)
    np.testing.assert_array_equal(again.images_per_particle, expected.images_per_particle)
    np.testing.assert_allclose(again.ctf.defocus_u, expected.ctf.defocus_u)
    if particles.has_poses:
        np.testing.assert_allclose(again.rotation, expected.rotation, atol=1e-12)
    if source.suffix == ".star":
        before, after = source.read_text().split("\n"), out.read_text().split("\n")
        assert len(before) - len(after) == particles.images - expected.images
        lines = iter(before)
        assert all(line in lines for line in after)  # same lines, same order
    else:
        ours, theirs = np.load(out), np.load(source)
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs[chosen])


def test_other_stacks_with_a_pixel_size_given(shared_data: Path):
    for name, sign in (
        ("freehand_atpsynthase/parts.stk", -1),
        ("cryodrgn_tests/hand.mrcs", 1),
        ("spider_docs/sav_data.mrcs", 1),
        ("spider_docs/sav_nat_part_stk.mrcs", 1),
    ):
        report = check_particles(read_particles(shared_data / name, pixel_size=2.8))
        assert report.problems == (), name
        assert report.sign == sign, (name, report.sigma)


def test_an_implausible_header_is_pointed_out(shared_data: Path):
    report = check_particles(read_particles(shared_data / "bioem_tutorials/TwoImages.mrc"))
    assert "a pixel size of 0.0002441 Å is unusual; check it" in report.notes
