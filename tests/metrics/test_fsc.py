"""FSC against cases solved by hand, a numpy loop over shells, and RELION's own curves."""

import math

import numpy as np
import pytest
import torch

from hypermol.errors import DataError
from hypermol.metrics import corrected_fsc, fsc, fsc_mean, phase_randomised, resolution

GENERATOR = torch.Generator().manual_seed(0)


def noise(*shape):
    return torch.randn(*shape, generator=GENERATOR, dtype=torch.float64)


def by_loop(a, b):
    """Shell by shell with numpy's own transform and no weights."""
    box = len(a)
    fa, fb = np.fft.fftn(a), np.fft.fftn(b)
    k = np.fft.fftfreq(box, 1 / box)
    shell = np.rint(np.sqrt(k[:, None, None] ** 2 + k[:, None] ** 2 + k**2))
    values = []
    for s in range(box // 2):
        inside = shell == s
        cross = np.sum(fa[inside] * fb[inside].conj()).real
        values.append(cross / np.sqrt(np.sum(np.abs(fa[inside]) ** 2) * np.sum(np.abs(fb[inside]) ** 2)))
    return np.array([1.0, *values[1:]])


def test_against_a_loop_over_shells():
    a, b = noise(20, 20, 20), noise(20, 20, 20)
    np.testing.assert_allclose(fsc(a, a + b).numpy(), by_loop(a.numpy(), (a + b).numpy()), atol=1e-12)


def test_batches_and_masks():
    a, b, mask = noise(3, 16, 16, 16), noise(3, 16, 16, 16), noise(16, 16, 16).sigmoid()
    found = fsc(a, a + b, mask)
    assert found.shape == (3, 8)
    for row, x, y in zip(found, a, b):
        np.testing.assert_allclose(row.numpy(), by_loop((x * mask).numpy(), ((x + y) * mask).numpy()), atol=1e-12)
    assert fsc(a.float(), b.float()).dtype == torch.float32


def test_known_correlations():
    a, b = noise(24, 24, 24), noise(24, 24, 24)
    torch.testing.assert_close(fsc(a, 3 * a), torch.ones(12, dtype=torch.float64))
    torch.testing.assert_close(fsc(a, -a)[1:], -torch.ones(11, dtype=torch.float64))
    assert float(fsc(a, b)[1:].abs()[6:].max()) < 0.15
    assert float(fsc(a, a + b)[6:].mean()) == pytest.approx(math.sqrt(0.5), abs=0.02)


def test_a_shell_without_signal_is_zero():
    k = torch.fft.fftfreq(16, 1 / 16)
    shell = torch.round(torch.sqrt(k[:, None, None] ** 2 + k[:, None] ** 2 + k**2))
    smooth = torch.fft.ifftn(torch.fft.fftn(noise(16, 16, 16)) * (shell < 4)).real
    empty = torch.zeros(16, 16, 16, dtype=torch.float64)
    assert fsc(smooth, empty)[1:].abs().max() == 0
    torch.testing.assert_close(fsc(smooth, smooth)[:4], torch.ones(4, dtype=torch.float64))


def test_maps_of_different_boxes_are_refused():
    with pytest.raises((DataError, TypeError)):  # the shape annotations speak first under pytest
        fsc(noise(8, 8, 8), noise(10, 10, 10))


def test_mean_over_shells_leaves_out_the_first():
    assert float(fsc_mean(torch.tensor([1.0, 0.5, 0.25, 0.0]))) == pytest.approx(0.25)
    torch.testing.assert_close(fsc_mean(torch.tensor([[1.0, 1.0], [1.0, 0.0]])), torch.tensor([1.0, 0.0]))


@pytest.mark.parametrize(
    ("curve", "threshold", "shell"),
    [
        ([1.0, 0.9, 0.6, 0.4, 0.1], 0.5, 2.5),
        ([1.0, 0.9, 0.6, 0.4, 0.1], 0.4, 4 - 1.0),
        ([1.0, 0.9, 0.2, 0.9, 0.9], 0.5, 1 + 4 / 7),
        ([1.0, 0.9, 0.8, 0.7, 0.6], 0.5, 4.0),
        ([1.0, 0.9, 0.8, math.nan, 0.6], 0.5, 2.0),
    ],
)
def test_resolution_is_interpolated_between_shells(curve, threshold, shell):
    assert resolution(torch.tensor(curve), 2.0, threshold) == pytest.approx(10 * 2.0 / shell)


def test_resolution_is_infinite_where_nothing_correlates():
    assert resolution(torch.tensor([1.0, 0.1, 0.9]), 2.0, 0.5) == math.inf


def test_random_phases_keep_amplitudes_and_low_shells():
    map_ = noise(16, 16, 16)
    turned = phase_randomised(map_, 4, torch.Generator().manual_seed(3))
    curve = fsc(map_, turned)
    torch.testing.assert_close(curve[:4], torch.ones(4, dtype=torch.float64))
    assert float(curve[5:].abs().max()) < 0.3
    before, after = torch.fft.fftn(map_).abs(), torch.fft.fftn(turned).abs()
    torch.testing.assert_close(before, after, atol=1e-8, rtol=1e-8)


def test_correction_takes_out_what_the_mask_makes():
    """Two maps of pure noise under one tight mask correlate; the corrected FSC does not."""
    from hypermol.maps import soft_sphere

    mask = soft_sphere(48, 8.0, 3.0, torch.float64)
    common = torch.fft.ifftn(torch.fft.fftn(noise(48, 48, 48)) * _low(48, 8)).real * 4
    halves = [common + noise(48, 48, 48) for _ in range(2)]
    shared = noise(48, 48, 48) * (1 - mask)  # signal outside the mask only
    halves = [half + shared for half in halves]
    masked = fsc(*halves, mask)
    random = fsc(*(phase_randomised(half, 10, GENERATOR) for half in halves), mask)
    corrected = corrected_fsc(masked, random, 10)
    torch.testing.assert_close(corrected[:12], masked[:12])
    assert float(corrected[13:].mean().abs()) < 0.12


def _low(box, shells):
    k = torch.fft.fftfreq(box, 1 / box)
    return torch.sqrt(k[:, None, None] ** 2 + k[:, None] ** 2 + k**2) < shells


def test_against_relion_postprocess(shared_data):
    """RELION 3.0.8's own columns: its corrected curve from its masked and randomised ones, and its resolution."""
    import starfile

    path = shared_data / "starfile_tests" / "postprocess.star"
    if not path.exists():
        pytest.skip("starfile_tests/postprocess.star is absent")
    blocks = starfile.read(path)
    table, general = blocks["fsc"], blocks["general"]
    column = {
        "corrected": "rlnFourierShellCorrelationCorrected",
        "unmasked": "rlnFourierShellCorrelationUnmaskedMaps",
        "masked": "rlnFourierShellCorrelationMaskedMaps",
        "random": "rlnCorrectedFourierShellCorrelationPhaseRandomizedMaskedMaps",
    }
    # RELION also lists the shell at Nyquist, D/2, which we never use
    curve = {name: torch.tensor(table[rln].to_numpy(copy=True)[:48]) for name, rln in column.items()}
    first = int((curve["unmasked"] < 0.8).int().argmax())
    pixel_size, box = 7.5, 96
    assert box * pixel_size / first == pytest.approx(float(general["rlnRandomiseFrom"]), rel=1e-5)
    corrected = corrected_fsc(curve["masked"], curve["random"], first)
    torch.testing.assert_close(corrected, curve["corrected"], atol=3e-6, rtol=0)
    # RELION states the last whole shell above 0.143; between that shell and the next lies the crossing
    last = round(box * pixel_size / float(general["rlnFinalResolution"]))
    found = resolution(curve["corrected"], pixel_size, 0.143)
    assert box * pixel_size / (last + 1) <= found <= box * pixel_size / last * 1.0001


def test_resolution_of_a_published_curve(shared_data):
    """Global FSC of 3DFSC for the T40 trimer (144 px, 1.31 Å): the crossing read from its own frequency column."""
    path = shared_data / "fsc_reference" / "ResEMT40-3DFSCOutglobalFSC.csv"
    if not path.exists():
        pytest.skip("fsc_reference is absent")
    _, frequency, curve = np.loadtxt(path, delimiter=",").T
    below = int(np.argmax(curve < 0.143))
    crossing = np.interp(0.143, curve[[below, below - 1]], frequency[[below, below - 1]])
    assert resolution(torch.tensor(curve[:72]), 1.31, 0.143) == pytest.approx(1 / crossing, rel=1e-3)
