"""Contrast and defocus of particles by `refine`: found, used, and handed on; the local resolution beside the maps."""

import numpy as np
import pytest
import torch

from hypermol.errors import ConfigError
from hypermol.maps import read_map, soft_sphere
from hypermol.methods import configured, find_method, train
from hypermol.methods.resolved_where import resolved_where
from hypermol.metrics import fsc
from hypermol.particles import read_particles
from hypermol.simulation import Recipe, Truth, simulate

SIMULATED = {"n": 300, "box": 32, "snr": 0.5, "pixel_size": 3.0, "sigma": 1.5, "enlarge": 0.6}
SIMULATED |= {"contrast_range": (0.5, 1.5)}
SETTINGS = {"search_passes": 0, "local_passes": 2, "start": 0.7}


@pytest.fixture(scope="module")
def wrong(tmp_path_factory):
    """A file whose defocus is off, the truth, and by how much."""
    folder = tmp_path_factory.mktemp("optics")
    simulate(Recipe(name="homogeneous", shift_px=2.0, seed=21, **SIMULATED), folder)
    particles = read_particles(folder / "particles.star")
    off = np.random.default_rng(0).normal(0, 700, particles.count).clip(-1500, 1500)
    shifted = [f"{value:.6f}" for value in particles.ctf.defocus_u.numpy() + off]
    columns = {"rlnDefocusU": shifted, "rlnDefocusV": shifted}
    particles.document.write_columns(np.arange(particles.count), columns, folder / "wrong.star")
    return folder, Truth.load(folder), off


def refined(path, out, **settings):
    return train(path, configured(find_method("refine"), {**SETTINGS, **settings}), out, seed=0)


def likeness(run, truth):
    """Mean FSC of the unfiltered map with the truth; poses began from the true ones, so that frames agree."""
    found = read_map(run.volumes / "unfiltered.mrc")[0]
    return float(fsc(found, truth.map(0).float(), truth.mask().float())[1:].mean())


def test_a_wrong_defocus_is_mended_and_the_map_with_it(wrong, tmp_path):
    folder, truth, off = wrong
    plain = refined(folder / "wrong.star", tmp_path / "plain")
    run = refined(folder / "wrong.star", tmp_path / "run", contrast=True, defocus=True)
    found = run.estimates()
    left = found["defocus_change_angstrom"] + off
    assert np.sqrt(np.mean(left**2)) < 0.6 * np.sqrt(np.mean(off**2))
    assert np.median(np.abs(left)) < 0.6 * np.median(np.abs(off))
    assert np.corrcoef(found["contrast"], truth.contrast)[0, 1] > 0.9
    for half in (0, 1):
        assert found["contrast"][found["half"] == half].mean() == pytest.approx(1.0, abs=1e-9)
    assert likeness(run, truth) > likeness(plain, truth) + 0.01
    said = " ".join(row.get("text", "") for row in run.log())
    assert "contrast of the particles: 1 ± 0.2" in said
    assert "defocus: ± " in said
    again = read_particles(run.path / "particles.star", datadir=folder)
    given = read_particles(folder / "wrong.star")
    change = again.ctf.defocus_u.numpy() - given.ctf.defocus_u.numpy()
    np.testing.assert_allclose(change, found["defocus_change_angstrom"], atol=2e-6)
    np.testing.assert_allclose(again.ctf.scale.numpy(), found["contrast"], atol=1e-6)
    back = train(run.path / "particles.star", find_method("backprojection"), tmp_path / "back", datadir=folder)
    assert likeness(back, truth) == pytest.approx(likeness(run, truth), abs=0.003)  # what other programs would see


def test_a_right_defocus_stays(wrong, tmp_path):
    folder, truth, _ = wrong
    plain = refined(folder / "particles.star", tmp_path / "plain")
    run = refined(folder / "particles.star", tmp_path / "run", contrast=True, defocus=True)
    assert np.sqrt(np.mean(run.estimates()["defocus_change_angstrom"] ** 2)) < 100
    assert likeness(run, truth) > likeness(plain, truth) - 0.002
    assert "contrast" not in plain.estimates()
    given, again = (
        read_particles(path, datadir=folder) for path in (folder / "particles.star", plain.path / "particles.star")
    )
    assert torch.equal(given.ctf.defocus_u, again.ctf.defocus_u)


def test_images_without_a_ctf_have_no_defocus_to_refine(tmp_path):
    simulate(Recipe(name="homogeneous", n=40, box=16, snr=1.0, ctf=False, seed=3), tmp_path / "data")
    with pytest.raises(ConfigError, match="no CTF"):
        refined(tmp_path / "data" / "particles.star", tmp_path / "run", defocus=True)
    run = refined(tmp_path / "data" / "particles.star", tmp_path / "contrasts", contrast=True, local_passes=1)
    assert run.estimates()["contrast"].shape == (40,)


def test_the_noisier_side_of_a_map_is_less_well_resolved():
    """Half maps that share a signal; noise is five times as strong where x is low."""
    draw = torch.Generator().manual_seed(4)
    signal = torch.randn(48, 48, 48, generator=draw)
    k = torch.fft.fftfreq(48, 1 / 48)
    radius = torch.sqrt(k[:, None, None] ** 2 + k[:, None] ** 2 + k**2)
    signal = torch.fft.ifftn(torch.fft.fftn(signal) * torch.exp(-((radius / 7) ** 2))).real
    level = torch.where(torch.arange(48) < 24, 0.5, 0.1) * signal.std()
    first, second = (signal + level * torch.randn(48, 48, 48, generator=draw) for _ in range(2))
    mask = soft_sphere(48, 18.0, 2.0)
    found, words = resolved_where(first, second, mask, 3.0)
    inside = mask >= 0.5
    noisy, quiet = (found[side][inside[side]].median() for side in (np.s_[..., 8:18], np.s_[..., 30:40]))
    assert float(noisy) > 1.15 * float(quiet)
    # the FSC of each noise level by itself, where signal and noise are even: SNR / (SNR + 1) = ½
    assert float(quiet) == pytest.approx(_expected(signal, 0.1), rel=0.15)
    assert float(noisy) == pytest.approx(_expected(signal, 0.5), rel=0.15)
    assert (found[~inside] == 0).all()
    assert f"quartiles {found[inside].quantile(0.25, interpolation='nearest'):.1f} Å" in words
    assert "nothing resolved" in resolved_where(noise(1), noise(2), mask, 3.0)[1]


def noise(seed):
    return torch.randn(48, 48, 48, generator=torch.Generator().manual_seed(seed))


def _expected(signal, level):
    """Å at which the power of the signal is that of white noise."""
    k = torch.fft.fftfreq(48, 1 / 48)
    shell = torch.sqrt(k[:, None, None] ** 2 + k[:, None] ** 2 + k**2).round().long().flatten()
    power = torch.fft.fftn(signal).abs().square().flatten()
    mean = torch.zeros(60).index_add(0, shell, power) / torch.bincount(shell, minlength=60).clamp(min=1)
    limit = float((level * signal.std()) ** 2) * 48**3
    return 48 * 3.0 / next(s for s in range(1, 24) if float(mean[s]) < limit)
