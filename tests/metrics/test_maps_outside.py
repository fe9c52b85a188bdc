"""FSC and local resolution against relion_postprocess, run here."""

import shutil
import subprocess

import numpy as np
import pytest
import torch

from hypermol.maps import low_pass, read_map, soft_sphere, write_map
from hypermol.metrics import fsc, local_resolution


def noise(box, seed):
    return torch.randn(box, box, box, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def relion(tmp_path):
    """Runs relion_postprocess on two half maps of 2 Å pixels; a skip where it is not installed."""
    program = shutil.which("relion_postprocess")
    if program is None:
        pytest.skip("relion_postprocess is not installed (Debian package relion)")
    (tmp_path / "out").mkdir()

    def run(first, second, *options):
        write_map(tmp_path / "half1_unfil.mrc", first, 2.0)
        write_map(tmp_path / "half2_unfil.mrc", second, 2.0)
        maps = ["--i", "half1_unfil.mrc", "--i2", "half2_unfil.mrc", "--angpix", "2", "--o", "out/post"]
        command = [program, *maps, *options]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return tmp_path / "out"

    return run


def half_counted(first, second):
    """RELION's sum: over the stored half of the transform, where the plane x = 0 alone holds both k and -k."""
    box = len(first)
    a, b = (np.fft.rfftn(m.double().numpy()) for m in (first, second))
    axis, half = np.fft.fftfreq(box, 1 / box), np.arange(box // 2 + 1)
    shell = np.rint(np.sqrt(axis[:, None, None] ** 2 + axis[:, None] ** 2 + half**2)).astype(int).ravel()
    cross, one, two = (
        np.bincount(shell, x.ravel())[: box // 2] for x in ((a * b.conj()).real, abs(a) ** 2, abs(b) ** 2)
    )
    return cross / np.sqrt(one * two)


def test_fsc_is_that_of_relion(relion, tmp_path):
    """Its own columns to 1e-5 once the plane x = 0 is counted twice as it does; ours, each pair once, within chance."""
    import starfile

    box, mask = 48, soft_sphere(48, 14.0, 6.0)
    signal = 3 * low_pass(noise(box, 0), 2.0, 10.0)
    halves = [signal + noise(box, seed) for seed in (1, 2)]
    write_map(tmp_path / "mask.mrc", mask, 2.0)
    table = starfile.read(relion(*halves, "--mask", "mask.mrc") / "post.star")["fsc"]
    for column, within in (("UnmaskedMaps", None), ("MaskedMaps", mask)):
        theirs = table[f"rlnFourierShellCorrelation{column}"].to_numpy()[1 : box // 2]
        pair = [half if within is None else half * within for half in halves]
        np.testing.assert_allclose(theirs, half_counted(*pair)[1:], atol=1e-5)
        np.testing.assert_allclose(theirs, fsc(*pair).numpy()[1:], atol=0.015)


@pytest.mark.slow
def test_local_resolution_is_that_of_relion(relion):
    """A map resolved to 16 Å on one side and 6.4 Å on the other: medians of either side within 12 % of RELION's."""
    box, side = 64, (torch.arange(64) >= 32).float()
    signal = noise(box, 0)
    mixed = side * low_pass(signal, 2.0, 6.4) + (1 - side) * low_pass(signal, 2.0, 16.0)
    halves = [mixed + 0.2 * noise(box, seed) for seed in (1, 2)]
    theirs, _ = read_map(relion(*halves, "--locres", "--locres_sampling", "16") / "post_locres.mrc")
    ours = local_resolution(*halves, 2.0, threshold=0.143, radius=13.0)  # half height at 16 Å, as theirs
    for place in (slice(13, 19), slice(45, 51)):
        here = slice(20, 44), slice(20, 44), place
        assert float(ours[here].median()) == pytest.approx(float(theirs[here].median()), rel=0.12)
