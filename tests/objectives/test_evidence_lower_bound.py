"""The evidence lower bound against the exact evidence of a model where that is known: a volume linear in z."""

import dataclasses
import math

import pytest
import torch

from hypermol.imaging import Lattice, random_rotations
from hypermol.objectives import EvidenceLowerBound, negative_log_likelihood
from hypermol.particles import Batch
from hypermol.posteriors import Hypotheses, standard_normal_divergence

BOX, PARTICLES, VARIANCE = 12, 5, 3.0
LATTICE = Lattice.disc(BOX)


class Linear:
    """V(k, z) = z · U(k): a volume that is its component."""

    def slices(self, k: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        return component(k) * z


def component(k: torch.Tensor) -> torch.Tensor:
    phase = 2 * math.pi * (k @ torch.tensor([1.0, -2.0, 0.7], dtype=k.dtype))
    return torch.polar(2 * (-8 * k.square().sum(-1)).exp(), phase)


@pytest.fixture
def batch() -> Batch:
    """Images of the model at random z, with noise; float64."""
    generator = torch.Generator().manual_seed(1)
    shape = (PARTICLES, 1, LATTICE.size)
    images = math.sqrt(VARIANCE) * torch.randn(shape, dtype=torch.complex128, generator=generator)
    rotation = random_rotations(PARTICLES, generator=generator).double()
    return Batch(
        particle=torch.arange(PARTICLES),
        images=images,
        valid=torch.ones(PARTICLES, 1, dtype=torch.bool),
        ctf=torch.randn(shape, dtype=torch.float64, generator=generator),
        variance=torch.full(shape, VARIANCE, dtype=torch.float64),
        rotation=rotation,
        shift=torch.zeros(PARTICLES, 2, dtype=torch.float64),
        tilt=torch.eye(3, dtype=torch.float64).expand(PARTICLES, 1, 3, 3),
        image_shift=torch.zeros(PARTICLES, 1, 2, dtype=torch.float64),
        half=torch.zeros(PARTICLES, dtype=torch.long),
        lattice=LATTICE.to(dtype=torch.float64),
        pixel_size=2.0,
    )


def coefficients(batch: Batch) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Of -log p(x | z) = n - b z + a z² / 2, written out pixel by pixel."""
    k = torch.cat([batch.lattice.k, torch.zeros(LATTICE.size, 1, dtype=torch.float64)], 1)
    predicted = component(torch.einsum("bij,pi->bpj", batch.rotation, k)) * batch.ctf[:, 0]
    weight, x = batch.lattice.weight / VARIANCE, batch.images[:, 0]
    a = 2 * (weight * predicted.abs() ** 2).sum(-1)
    b = 2 * (weight * (predicted.conj() * x).real).sum(-1)
    return (weight * x.abs() ** 2).sum(-1), b, a


def bound(batch: Batch, mean: torch.Tensor, deviation: torch.Tensor) -> torch.Tensor:
    """-ELBO at a Gaussian posterior. Two points at ± one deviation give the expectation of a parabola exactly."""
    z = torch.stack([mean - deviation, mean + deviation], 1)[..., None]
    hypotheses = Hypotheses(
        rotation=batch.rotation[:, None].expand(-1, 2, -1, -1),
        shift=torch.zeros(PARTICLES, 2, 2, dtype=torch.float64),
        z=z,
        divergence=standard_normal_divergence(mean[:, None], 2 * deviation.log()[:, None]),
    )
    nll = negative_log_likelihood(Linear(), hypotheses, batch)
    return EvidenceLowerBound(beta=1.0).loss(nll, hypotheses)


def test_equals_the_evidence_at_the_exact_posterior_and_is_above_elsewhere(batch: Batch) -> None:
    n, b, a = coefficients(batch)
    evidence = n - b**2 / (2 * (1 + a)) + 0.5 * (1 + a).log()
    mean, deviation = b / (1 + a), (1 + a).rsqrt()
    torch.testing.assert_close(bound(batch, mean, deviation), evidence)
    for other in (bound(batch, mean + 0.3 * deviation, deviation), bound(batch, mean, 1.5 * deviation)):
        assert (other > evidence + 0.01).all()


def test_likelihood_leaves_out_padded_images_and_halves_the_self_conjugate_pixel(batch: Batch) -> None:
    zero = Hypotheses(
        rotation=batch.rotation[:, None],
        shift=torch.zeros(PARTICLES, 1, 2).double(),
        z=torch.zeros(PARTICLES, 1, 1).double(),
    )
    images = batch.images.clone()
    images[..., 0] = images[..., 0].real  # that of a real image at k = 0
    batch = dataclasses.replace(batch, images=images)
    plane = LATTICE.unpack(images[:, 0].to(torch.complex64)).abs().square().sum((-2, -1)).double()
    found = negative_log_likelihood(Linear(), zero, batch)[:, 0]
    torch.testing.assert_close(found, plane / VARIANCE / 2, rtol=1e-5, atol=0)
    unseen = dataclasses.replace(batch, valid=torch.zeros(PARTICLES, 1, dtype=torch.bool))
    assert (negative_log_likelihood(Linear(), zero, unseen) == 0).all()


@pytest.mark.parametrize(
    ("beta", "price", "weight"), [(None, 1.0, 1 / 6), (0.5, 1.0, 0.5), (2.0, 0.0, 0.0), (None, 3.0, 0.5)]
)
def test_beta_and_its_price(beta: float | None, price: float, weight: float) -> None:
    hypotheses = Hypotheses(z=torch.zeros(2, 1, 3), divergence=torch.tensor([6.0, 12.0]))
    loss = EvidenceLowerBound(beta, price).loss(torch.tensor([[1.0, 3.0], [0.0, 0.0]]), hypotheses)
    torch.testing.assert_close(loss, torch.tensor([2.0, 0.0]) + weight * hypotheses.divergence)
