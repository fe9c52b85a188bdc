"""Local resolution: a window that is the whole box, a map resolved differently on either side, RELION, and noise."""

import math

import pytest
import torch

from hypermol.errors import ConfigError, DataError
from hypermol.metrics import fsc, local_fsc, local_resolution, resolution


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def low_passed(map_, shell):
    k = torch.fft.fftfreq(map_.shape[-1], 1 / map_.shape[-1], dtype=torch.float64)
    radius = torch.sqrt(k[:, None, None] ** 2 + k[:, None] ** 2 + k**2)
    return torch.fft.ifftn(torch.fft.fftn(map_) * torch.sigmoid(2 * (shell - radius))).real


def test_a_window_of_the_whole_box_gives_the_fsc():
    a, b = noise(2, 12, 12, 12)
    expected = fsc(a, a + b)
    for shell, found in enumerate(local_fsc(a, a + b, torch.full((12, 12, 12), 1.0, dtype=torch.float64)), start=1):
        torch.testing.assert_close(found, expected[shell].expand(12, 12, 12), atol=1e-9, rtol=0)


def test_windowed_products_by_hand():
    """One voxel's value from its own window, shell by shell."""
    a, b = noise(2, 10, 10, 10)
    window = noise(10, 10, 10, seed=3).sigmoid()
    k = torch.fft.fftfreq(10, 0.1, dtype=torch.float64)
    shell = torch.round(torch.sqrt(k[:, None, None] ** 2 + k[:, None] ** 2 + k**2))
    at = torch.tensor([(z, y, x) for z in range(10) for y in range(10) for x in range(10)]).reshape(10, 10, 10, 3)
    near = torch.remainder(torch.tensor([2, 7, 4]) - at, 10)
    weight = window[near[..., 0], near[..., 1], near[..., 2]]
    for number, found in enumerate(local_fsc(a, b, window, width=0.0), start=1):
        x, y = (torch.fft.ifftn(torch.fft.fftn(m) * (shell == number)).real for m in (a, b))
        expected = (weight * x * y).sum() / ((weight * x * x).sum() * (weight * y * y).sum()).sqrt()
        assert float(found[2, 7, 4]) == pytest.approx(float(expected), abs=1e-9)


def two_sided(box=64, coarse=8, fine=20):
    """Half maps with signal to shell ``fine`` where x is high and to ``coarse`` where x is low."""
    signal, side = noise(box, box, box), (torch.arange(box) >= box // 2).double()
    mixed = side * low_passed(signal, fine) + (1 - side) * low_passed(signal, coarse)
    return [mixed + 0.2 * noise(box, box, box, seed=s) for s in (1, 2)]


def test_either_side_has_its_own_resolution():
    box, pixel = 64, 2.0
    found = local_resolution(*two_sided(box), pixel, radius=16.0)
    coarse, fine = found[..., 13:19].median(), found[..., 45:51].median()
    assert float(coarse) == pytest.approx(box * pixel / 8, rel=0.15)
    assert float(fine) == pytest.approx(box * pixel / 20, rel=0.08)


def test_an_even_map_has_the_global_resolution():
    first, second = (low_passed(noise(40, 40, 40), 10) + 0.1 * noise(40, 40, 40, seed=s) for s in (1, 2))
    whole = resolution(fsc(first, second), 1.5, 0.5)
    found = local_resolution(first, second, 1.5, radius=12.0)
    assert float(found.median()) == pytest.approx(whole, rel=0.06)


def test_equal_halves_masks_and_noise():
    map_ = noise(24, 24, 24).float()
    mask = torch.zeros(24, 24, 24)
    mask[8:16, 8:16, 8:16] = 1
    found = local_resolution(map_, map_, 2.0, mask)
    assert torch.isnan(found[mask == 0]).all()
    torch.testing.assert_close(found[mask == 1], torch.full((512,), 24 * 2.0 / 11))
    assert found.dtype == torch.float32
    unresolved = local_resolution(map_, noise(24, 24, 24, seed=5).float(), 2.0, radius=12.0)
    assert float((unresolved == math.inf).float().mean()) > 0.95
    assert (local_resolution(torch.zeros_like(map_), torch.zeros_like(map_), 2.0) == math.inf).all()


def test_refusals():
    map_ = noise(8, 8, 8)
    with pytest.raises((DataError, TypeError)):
        local_resolution(map_, noise(10, 10, 10), 1.0)
    for wrong in ({"radius": 0.0}, {"threshold": 1.0}):
        with pytest.raises(ConfigError, match="local resolution"):
            local_resolution(map_, map_, 1.0, **wrong)
