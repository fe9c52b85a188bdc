"""Masks: where they are one, where zero, how wide their edge is, and what they leave out."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hypermol.errors import ConfigError, DataError
from hypermol.maps.files import read_map
from hypermol.maps.mask import automatic_mask, soft_sphere


def radius(box, centre=(0, 0, 0)):
    axis = torch.arange(box, dtype=torch.float64) - box // 2
    z, y, x = torch.meshgrid(axis, axis, axis, indexing="ij")
    return torch.sqrt((x - centre[0]) ** 2 + (y - centre[1]) ** 2 + (z - centre[2]) ** 2)


@settings(max_examples=20, deadline=None)
@given(half=st.integers(1, 10), inner=st.floats(0, 12), edge=st.floats(0, 6))
def test_sphere(half, inner, edge):
    mask, distance = soft_sphere(2 * half, inner, edge, torch.float64), radius(2 * half)
    assert bool((mask[distance <= inner] == 1).all())
    assert bool((mask[distance > inner + edge] == 0).all())
    assert 0 <= float(mask.min()) <= float(mask.max()) <= 1
    order = distance.flatten().argsort()
    assert float(mask.flatten()[order].diff().max()) < 1e-12
    assert soft_sphere(2 * half, inner, edge).dtype == torch.float32


def test_sphere_edge_is_a_raised_cosine():
    mask = soft_sphere(32, 5.0, 4.0, torch.float64)
    assert float(mask[16, 16, 16 + 7]) == pytest.approx(0.5)
    assert float(mask[16, 16 - 6, 16]) == pytest.approx(0.5 + 0.5 * np.cos(np.pi / 4))


def test_automatic_mask_is_the_shape_extended():
    """A solid ball of 8 px with noise and a faint speck far away: the mask follows the ball alone."""
    box, pixel_size = 48, 2.0
    ball = (radius(box, (3, -2, 1)) <= 8).double()
    speck = 0.6 * (radius(box, (-16, 12, 0)) <= 2.5).double()
    noise = torch.randn(box, box, box, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    mask = automatic_mask(ball + speck + 0.2 * noise, pixel_size, resolution=12.0, extend=4.0, edge=8.0)
    distance = radius(box, (3, -2, 1))
    assert float(mask[distance < 9].min()) > 0.99
    assert float(mask[distance > 8 + 6 + 1.5].max()) < 0.01
    assert float(mask[speck > 0].max()) < 0.01
    edge = (mask > 0.02) & (mask < 0.98)
    assert 10.0 < float(distance[edge].mean()) < 13.5


def test_a_small_dense_domain_is_part_of_the_molecule():
    """Not joined to the rest at the threshold, a fiftieth of its volume, and as dense: no speck."""
    box, pixel_size = 64, 3.0
    body, domain = radius(box, (0, 0, 8)) <= 14, radius(box, (0, 0, -18)) <= 4
    assert float(domain.double().sum()) < 0.05 * float(body.double().sum())
    mask = automatic_mask((body | domain).float(), pixel_size, resolution=15.0)
    assert float(mask[domain].min()) > 0.9
    assert float(mask[body].min()) > 0.9


def test_holes_are_filled_and_options_matter():
    hollow = ((radius(32) < 10) & (radius(32) > 6)).float()
    mask = automatic_mask(hollow, 3.0, resolution=8.0, extend=0.0, edge=0.0)
    assert bool((mask[radius(32) < 9] == 1).all())
    assert set(mask.unique().tolist()) == {0.0, 1.0}
    wide = automatic_mask(hollow, 3.0, resolution=8.0, extend=6.0, edge=0.0)
    assert float(wide.sum()) > float(mask.sum())
    tight = automatic_mask(hollow, 3.0, resolution=8.0, extend=0.0, edge=0.0, threshold=0.95)
    assert float(tight.sum()) < float(mask.sum())


def test_mask_of_an_experimental_map(shared_data):
    """Most of the strong density of a real map lies inside, in a small part of the box."""
    volume, pixel_size = read_map(shared_data / "relion313_reference" / "vol64.mrc")
    mask = automatic_mask(volume, pixel_size)
    strong = volume > 5 * volume.std()
    assert float(mask[strong].mean()) > 0.99
    assert 0.02 < float(mask.mean()) < 0.4


def test_refusals():
    with pytest.raises(DataError, match=r"no density above.*contrast inverted"):
        automatic_mask(-soft_sphere(16, 4.0, 3.0), 2.0, resolution=6.0, threshold=0.1)
    with pytest.raises(DataError, match="no density above"):
        automatic_mask(torch.zeros(16, 16, 16), 2.0)
    with pytest.raises(ConfigError, match="must not be negative"):
        automatic_mask(soft_sphere(16, 4.0), 2.0, extend=-1.0)
    with pytest.raises(DataError, match="even"):
        soft_sphere(15, 4.0)
