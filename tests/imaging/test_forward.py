"""Shifts, slice coordinates and optics: where an atom ends up in the image."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hypermol.imaging.forward import apply_optics, slice_coordinates
from hypermol.imaging.fourier import images_to_packed, packed_to_images
from hypermol.imaging.lattice import Lattice
from hypermol.imaging.rotations import random_rotations
from hypermol.imaging.shifts import shift_phase

WHOLE = st.integers(-5, 5)


@settings(max_examples=20, deadline=None)
@given(x=WHOLE, y=WHOLE, seed=st.integers(0, 50))
def test_whole_pixel_shifts_move_the_image(x, y, seed):
    lattice = Lattice.disc(16, dtype=torch.float64)
    generator = torch.Generator().manual_seed(seed)
    packed = images_to_packed(torch.randn(16, 16, generator=generator, dtype=torch.float64), lattice)
    image = packed_to_images(packed, lattice)
    phase = shift_phase(lattice.k, torch.tensor([x, y], dtype=torch.float64))
    moved = packed_to_images(packed * phase, lattice)
    torch.testing.assert_close(moved, torch.roll(image, (y, x), (-2, -1)))


def test_phases_by_definition_and_large_shifts():
    lattice = Lattice.disc(64)
    shift = torch.tensor([[0.3, -1.7], [250.4, -99.9]])
    found = shift_phase(lattice.k, shift)
    turns = lattice.k.double().numpy() @ shift.double().numpy().T
    np.testing.assert_allclose(found.numpy(), np.exp(-2j * np.pi * turns).T, atol=1e-4)
    assert found.dtype == torch.complex64
    assert shift_phase(lattice.k, shift[:0]).shape == (0, lattice.size)
    back = shift_phase(lattice.k, -shift)
    torch.testing.assert_close(found * back, torch.ones_like(found), atol=2e-6, rtol=0)


def test_gradient_of_a_shift():
    lattice = Lattice.disc(6, dtype=torch.float64)
    shift = torch.tensor([[0.3, -0.2]], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda t: shift_phase(lattice.k, t), [shift])


def test_an_atom_appears_at_the_first_two_components_of_its_rotated_position():
    lattice = Lattice.disc(20, dtype=torch.float64)
    generator = torch.Generator().manual_seed(1)
    rotation = random_rotations(8, generator, dtype=torch.float64)
    atom = torch.tensor([2.0, -3.0, 1.5], dtype=torch.float64)
    k3 = slice_coordinates(lattice.k, rotation)
    assert k3.shape == (8, lattice.size, 3)
    flat = torch.cat([lattice.k, torch.zeros(lattice.size, 1)], dim=-1).double()
    torch.testing.assert_close(k3, torch.einsum("bji,pj->bpi", rotation, flat))
    slices = torch.exp(-2j * torch.pi * (k3 @ atom))  # the transform of a point at ``atom``
    torch.testing.assert_close(slices, shift_phase(lattice.k, (rotation @ atom)[:, :2]))
    image = packed_to_images(slices, lattice).flatten(1).argmax(-1)
    place = torch.stack([image % 20 - 10, image // 20 - 10], dim=-1)
    assert float((place - (rotation @ atom)[:, :2]).abs().max()) <= 0.75


def test_optics_multiply_and_broadcast():
    lattice = Lattice.disc(8)
    generator = torch.Generator().manual_seed(2)
    slices = torch.randn(3, 2, lattice.size, generator=generator, dtype=torch.complex64)
    ctf = torch.randn(3, 1, lattice.size, generator=generator)
    phase = shift_phase(lattice.k, torch.randn(3, 2, 2, generator=generator))
    contrast = torch.rand(3, 1, generator=generator)
    torch.testing.assert_close(apply_optics(slices, ctf, phase, contrast), slices * ctf * phase * contrast[..., None])
    torch.testing.assert_close(apply_optics(slices, ctf), slices * ctf)
