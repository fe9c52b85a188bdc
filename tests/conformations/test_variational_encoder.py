"""The variational encoder: what it sees, how it averages images, and the posterior that it states."""

import dataclasses

import pytest
import torch

from hypermol.conformations import VariationalEncoder
from hypermol.conformations.encoder import phase_flipped
from hypermol.imaging import (
    QUARTER_TURN,
    Lattice,
    apply_optics,
    moved_images,
    random_rotations,
    rotvec_to_matrix,
    shift_phase,
)
from hypermol.particles import Batch
from hypermol.posteriors import Hypotheses
from hypermol.testing import small_context

BOX, PIXEL_SIZE = 16, 3.0


class Fixed:
    """Draws that are all ``value``."""

    def __init__(self, value: float) -> None:
        self.value = value

    def normal(self, purpose: str, *shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
        return torch.full((4, *shape), self.value, dtype=dtype)


def make_batch(images: torch.Tensor, ctf: torch.Tensor | None = None, variance: float = 1.0) -> Batch:
    particles, count, _ = images.shape
    return Batch(
        particle=torch.arange(particles),
        images=images,
        valid=torch.ones(particles, count, dtype=torch.bool),
        ctf=torch.ones(images.shape) if ctf is None else ctf,
        variance=torch.full(images.shape, variance),
        rotation=None,
        shift=None,
        tilt=torch.eye(3).expand(particles, count, 3, 3),
        image_shift=torch.zeros(particles, count, 2),
        half=torch.zeros(particles, dtype=torch.long),
        lattice=Lattice.disc(BOX),
        pixel_size=PIXEL_SIZE,
    )


def make_pose(shift: torch.Tensor) -> Hypotheses:
    rotation = random_rotations(len(shift), generator=torch.Generator().manual_seed(3)).float()
    return Hypotheses(rotation=rotation[:, None], shift=shift[:, None])


def random_images(count: int = 1, seed: int = 0) -> torch.Tensor:
    shape = (4, count, Lattice.disc(BOX).size)
    return torch.randn(shape, dtype=torch.complex64, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def encoder() -> torch.nn.Module:
    torch.manual_seed(0)
    return VariationalEncoder(z_dim=3, hidden=12, layers=2).build(small_context(BOX))


def test_sees_the_molecule_centred_with_phases_flipped_back_and_noise_of_one() -> None:
    slices = random_images()
    ctf = torch.randn(slices.shape, generator=torch.Generator().manual_seed(5))
    shift = torch.tensor([[3.0, -6.0], [0.0, 0.0], [1.5, 4.0], [-9.0, 2.0]])
    phase = shift_phase(Lattice.disc(BOX).k, shift[:, None] / PIXEL_SIZE)
    batch = make_batch(apply_optics(slices, ctf, phase), ctf, variance=4.0)
    seen = phase_flipped(batch, make_pose(shift))
    torch.testing.assert_close(seen, slices * ctf.abs() / 2, atol=1e-5, rtol=1e-5)


def test_a_padded_image_changes_nothing_and_the_order_of_images_neither(encoder: torch.nn.Module) -> None:
    pair, pose = random_images(2), make_pose(torch.zeros(4, 2))
    expected = encoder.posterior(make_batch(pair), pose)
    padded = make_batch(torch.cat([pair, random_images(seed=9)], 1))
    padded = dataclasses.replace(padded, valid=torch.tensor([True, True, False]).expand(4, 3))
    for found in (encoder.posterior(padded, pose), encoder.posterior(make_batch(pair.flip(1)), pose)):
        for got, wanted in zip(found, expected, strict=True):
            torch.testing.assert_close(got, wanted)
    alone = encoder.posterior(make_batch(pair[:, :1]), pose)
    assert not torch.allclose(alone[0], expected[0], atol=1e-4)


def test_a_band_limited_image_is_the_whole_one_with_zeros_beyond(encoder: torch.nn.Module) -> None:
    batch, pose = make_batch(random_images()), make_pose(torch.zeros(4, 2))
    beyond = batch.lattice.shell > 4
    blanked = dataclasses.replace(batch, images=batch.images.masked_fill(beyond, 0))
    for got, wanted in zip(encoder.posterior(batch.limit(4), pose), encoder.posterior(blanked, pose), strict=True):
        torch.testing.assert_close(got, wanted, atol=1e-5, rtol=1e-5)


def test_training_draws_from_the_stated_posterior_and_estimates_are_its_mean(encoder: torch.nn.Module) -> None:
    batch, pose = make_batch(random_images()), make_pose(torch.zeros(4, 2))
    mean, log_variance = encoder.posterior(batch, pose)
    drawn = encoder(batch, pose, Fixed(1.5), {})
    torch.testing.assert_close(drawn.z[:, 0], mean + 1.5 * (log_variance / 2).exp())
    torch.testing.assert_close(drawn.z_covariance[:, 0].diagonal(dim1=-2, dim2=-1), log_variance.exp())
    encoder.eval()
    torch.testing.assert_close(encoder(batch, pose, Fixed(1.5), {}).z[:, 0], mean)


def test_divergence_is_that_of_torch_distributions(encoder: torch.nn.Module) -> None:
    batch, pose = make_batch(random_images()), make_pose(torch.zeros(4, 2))
    mean, log_variance = encoder.posterior(batch, pose)
    posterior = torch.distributions.Normal(mean, (log_variance / 2).exp())
    expected = torch.distributions.kl_divergence(posterior, torch.distributions.Normal(0.0, 1.0)).sum(-1)
    torch.testing.assert_close(encoder(batch, pose, Fixed(0.0), {}).divergence, expected)


def test_what_the_network_sees_is_of_order_one_whatever_the_noise() -> None:
    context = dataclasses.replace(small_context(BOX), signal_amplitude=torch.linspace(3.0, 0.3, BOX // 2))
    lattice, pose = Lattice.disc(BOX), make_pose(torch.zeros(4, 2))
    for noise in (1e-6, 1.0, 100.0):
        given = dataclasses.replace(context, noise_amplitude=torch.full((BOX // 2,), noise))
        encoder = VariationalEncoder(z_dim=2, hidden=8, layers=1).build(given)
        amplitude = (given.signal_amplitude[lattice.shell].square() + noise**2).sqrt()
        draw = torch.randn(4, 50, lattice.size, dtype=torch.complex64, generator=torch.Generator().manual_seed(1))
        batch = make_batch(draw * amplitude, variance=noise**2)
        seen = phase_flipped(batch, pose) / encoder.deviation
        assert float(seen.abs().square().mean()) == pytest.approx(1, abs=0.03)
        assert "deviation" in encoder.state_dict()  # what a run that is read again scales by


def test_upright_images_do_not_depend_on_the_in_plane_angle_and_give_the_same_z() -> None:
    """Tilt pairs of random poses off the centre, their CTF astigmatic with signs; the same seen a quarter turn further
    on: pose, shift, tilt axis, CTF and images. Exactly so, as quarter turns are."""
    torch.manual_seed(0)
    encoder = VariationalEncoder(z_dim=2, hidden=8, layers=1, upright=True).build(small_context(BOX))
    lattice, draws = Lattice.disc(BOX), torch.Generator().manual_seed(7)
    pose = Hypotheses(
        rotation=random_rotations(4, generator=draws).float()[:, None], shift=torch.randn(4, 1, 3, generator=draws)
    )
    quarter = torch.tensor([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    further = Hypotheses(rotation=quarter @ pose.rotation, shift=pose.shift @ quarter.mT)
    tilt = rotvec_to_matrix(torch.tensor([[0.0, 0.0, 0.0], [0.7, 0.0, 0.0]])).expand(4, 2, 3, 3)
    pair, ctf = random_images(2), (60 * lattice.k[:, 0] ** 2 + 30 * lattice.k[:, 1] ** 2).cos().expand(4, 2, -1)
    batch = dataclasses.replace(make_batch(pair, ctf), tilt=tilt)
    turned = dataclasses.replace(
        make_batch(
            moved_images(pair, lattice, QUARTER_TURN), moved_images(ctf + 0j, lattice, QUARTER_TURN).real.contiguous()
        ),
        tilt=quarter @ tilt @ quarter.mT,
    )
    seen = encoder.posterior(batch, pose)[0]
    torch.testing.assert_close(encoder.posterior(turned, further)[0], seen, atol=1e-5, rtol=1e-5)
    for other in (pose, Hypotheses(rotation=further.rotation, shift=pose.shift)):  # either of them does matter
        assert not torch.allclose(encoder.posterior(turned, other)[0], seen, atol=1e-2)
    plain = VariationalEncoder(z_dim=2, hidden=8, layers=1).build(small_context(BOX))
    plain.load_state_dict(encoder.state_dict())
    assert not torch.allclose(plain.posterior(turned, further)[0], plain.posterior(batch, pose)[0], atol=1e-2)
