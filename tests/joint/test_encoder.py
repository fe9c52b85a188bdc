"""The encoder of pose and z, and its wrapper: copies of an image are mapped back to the image itself."""

import dataclasses

import pytest
import torch

from hypermol.errors import ConfigError
from hypermol.imaging import (
    HALF_TURN,
    Lattice,
    apply_optics,
    in_space,
    moved_images,
    random_rotations,
    shift_phase,
    slice_coordinates,
)
from hypermol.joint import Z_DRAWN, AmortisedEncoder, Symmetrised, copies_of
from hypermol.objectives import SymmetrisedLikelihood
from hypermol.particles import Batch
from hypermol.posteriors import Hypotheses
from hypermol.testing import small_context

BOX, PIXEL_SIZE, COUNT = 16, 3.0, 5
LATTICE = Lattice.disc(BOX)
CENTRES = torch.tensor([[2.0, 1.0, -1.0], [-3.0, 0.5, 2.0], [0.0, -2.5, 1.5]])


class Draws:
    """Draws that are all ``value``."""

    def __init__(self, value: float = 0.0) -> None:
        self.value = value

    def normal(self, purpose: str, *shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
        return torch.full((COUNT, *shape), self.value, dtype=dtype)


def projection(rotation: torch.Tensor, shift: torch.Tensor, symmetric: bool = False) -> torch.Tensor:
    """Packed images of three Gaussian blobs (and of their mirror images in z = 0), written out."""
    places = torch.cat([CENTRES, CENTRES * torch.tensor([1.0, 1.0, -1.0])]) if symmetric else CENTRES
    k = slice_coordinates(LATTICE.k, rotation)
    values = (torch.exp(-20 * k.square().sum(-1, keepdim=True)) * torch.exp(-2j * torch.pi * (k @ places.T))).sum(-1)
    return apply_optics(values, torch.ones(LATTICE.size), shift_phase(LATTICE.k, shift / PIXEL_SIZE))


def make_batch(images: torch.Tensor, ctf: torch.Tensor | None = None) -> Batch:
    images = images[:, None] if images.ndim == 2 else images
    count = images.shape[1]
    return Batch(
        particle=torch.arange(COUNT),
        images=images,
        valid=torch.ones(COUNT, count, dtype=torch.bool),
        ctf=torch.ones(images.shape) if ctf is None else ctf,
        variance=torch.full(images.shape, 4.0),
        rotation=None,
        shift=None,
        tilt=torch.eye(3).expand(COUNT, count, 3, 3),
        image_shift=torch.zeros(COUNT, count, 2),
        half=torch.zeros(COUNT, dtype=torch.long),
        lattice=LATTICE,
        pixel_size=PIXEL_SIZE,
    )


def truth() -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(3)
    return random_rotations(COUNT, draw).float(), 4 * torch.randn(COUNT, 2, generator=draw)


def built(**settings) -> torch.nn.Module:
    torch.manual_seed(0)
    spec = AmortisedEncoder(**{"z_dim": 2, "channels": 4, "hidden": 16, "copies": "one", **settings})
    return spec.build(small_context(BOX))


class Oracle:
    """Answers the pose at which each copy of an image shows the molecule, as a perfect encoder would."""

    def __init__(self, moves) -> None:
        self.moves = moves

    def seen(self, batch: Batch) -> torch.Tensor:
        return batch.images[:, 0]

    def infer(self, images, batch, draws, rows) -> Hypotheses:
        rotation, shift = truth()
        turned = torch.stack([in_space(move) @ rotation for move in self.moves], 1)
        moved = torch.stack([shift @ in_space(move)[:2, :2].T for move in self.moves], 1)
        for copy in range(len(self.moves)):  # the copies are what they are said to be
            wanted = projection(turned[:, copy], moved[:, copy])
            torch.testing.assert_close(images[:, copy], wanted, atol=1e-4, rtol=0)
        return Hypotheses(rotation=turned, shift=moved)


@pytest.mark.parametrize("copies", ["half-turn", "quarter-turns"])
def test_a_perfect_encoder_says_the_same_of_every_copy(copies) -> None:
    moves = copies_of(copies, False)
    rotation, shift = truth()
    found = Symmetrised(Oracle(moves), moves)(make_batch(projection(rotation, shift)), Draws(), {})
    assert found.rotation.shape == (COUNT, len(moves), 3, 3)
    torch.testing.assert_close(found.rotation, rotation[:, None].expand_as(found.rotation), atol=1e-5, rtol=0)
    torch.testing.assert_close(found.shift, shift[:, None].expand_as(found.shift), atol=1e-5, rtol=0)


def test_answers_of_several_heads_follow_their_own_copy() -> None:
    """Copy by copy: each head of the turned copy, by itself, is an answer mapped back; z is one for all heads."""
    encoder = built(copies="half-turn", heads=3, variational=True)
    encoder.eval()
    batch = make_batch(projection(*truth()))
    found = encoder(batch, Draws(), {})
    assert found.rotation.shape == (COUNT, 6, 3, 3)
    assert found.z_covariance.shape == (COUNT, 6, 2, 2)
    assert found.divergence.shape == (COUNT, 6)
    turned = dataclasses.replace(batch, images=moved_images(batch.images, LATTICE, HALF_TURN))
    alone = encoder.encoder(turned, Draws(), {})
    about_z = torch.diag(torch.tensor([-1.0, -1.0, 1.0]))
    torch.testing.assert_close(found.rotation[:, 3:], about_z @ alone.rotation, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found.shift[:, 3:], -alone.shift, atol=1e-5, rtol=1e-5)
    assert not torch.allclose(alone.rotation[:, 0], alone.rotation[:, 1], atol=0.1)
    torch.testing.assert_close(found.z[:, 3:], alone.z)
    assert torch.equal(found.z[:, 3], found.z[:, 5])


def test_half_turn_is_the_papers() -> None:
    """R ← R_z(π) R, shift negated."""
    assert copies_of("half-turn", False) == (((1, 0), (0, 1)), HALF_TURN)
    encoder = built(copies="half-turn", shifts=True)
    encoder.eval()
    batch = make_batch(projection(*truth()))
    found = encoder(batch, Draws(), {})
    turned = dataclasses.replace(batch, images=moved_images(batch.images, LATTICE, HALF_TURN))
    alone = encoder.encoder(turned, Draws(), {})
    about_z = torch.diag(torch.tensor([-1.0, -1.0, 1.0]))
    torch.testing.assert_close(found.rotation[:, 1], about_z @ alone.rotation[:, 0], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found.shift[:, 1], -alone.shift[:, 0], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found.z[:, 1], alone.z[:, 0], atol=1e-5, rtol=1e-5)


def test_reflected_copies_are_right_of_a_molecule_with_a_plane_of_symmetry() -> None:
    """What an encoder answers of the reflected image leads to the image itself, where V = J V."""
    moves = copies_of("half-turn", True)
    rotation, shift = truth()
    images = projection(rotation, shift, symmetric=True)

    class Mirrored(Oracle):
        def infer(self, images, batch, draws, rows) -> Hypotheses:
            turned = [in_space(m) @ rotation for m in moves]
            signs = [torch.linalg.det(one[0]) for one in turned]  # a reflected image is that of J V: M R J
            poses = [one if sign > 0 else one @ in_space(((1, 0), (0, 1)), -1) for one, sign in zip(turned, signs)]
            shifts = [shift @ in_space(m)[:2, :2].T for m in moves]
            return Hypotheses(rotation=torch.stack(poses, 1), shift=torch.stack(shifts, 1))

    found = Symmetrised(Mirrored(moves), moves)(make_batch(images), Draws(), {})
    assert torch.linalg.det(found.rotation).min() > 0.99
    for copy in range(4):
        again = projection(found.rotation[:, copy], found.shift[:, copy], symmetric=True)
        torch.testing.assert_close(again, images, atol=1e-4, rtol=0)


def test_rotations_are_rotations_and_shifts_are_in_angstrom() -> None:
    encoder, batch = built(), make_batch(projection(*truth()))
    found = encoder(batch, Draws(), {})
    assert found.rotation.shape == (COUNT, 1, 3, 3)
    assert found.z.shape == (COUNT, 1, 2)
    identity = found.rotation @ found.rotation.mT
    torch.testing.assert_close(identity, torch.eye(3).expand_as(identity), atol=1e-5, rtol=0)
    wide = encoder(dataclasses.replace(batch, pixel_size=2 * PIXEL_SIZE), Draws(), {})
    torch.testing.assert_close(wide.shift, 2 * found.shift)
    assert built(shifts=False)(batch, Draws(), {}).shift.abs().max() == 0


def test_begins_with_poses_in_all_directions() -> None:
    """The mean of random rotations is 0; an untrained network has its favourites."""

    def favourite(even: bool) -> float:
        encoder = built(even_start=even, z_dim=0, hidden=64)
        images = torch.view_as_complex(encoder.reference)
        rotation = encoder.infer(images[:, None], make_batch(images), Draws(), {}).rotation[:, 0]
        return float(rotation.detach().mean(0).square().sum())  # 3 where all are the same

    assert favourite(True) < 0.3
    assert favourite(False) > favourite(True)


def test_uneven_views_are_punished_in_training_alone() -> None:
    """One view of all images: |v|² + ‖v vᵀ - I/3‖² = 1 + 2/3; its gradient spreads views."""
    encoder, batch = built(even_views=3.0, even_start=False, z_dim=0), make_batch(projection(*truth()))
    weights = list(encoder.rotation_head.parameters())
    weights[-2].data *= 1e-3
    first = encoder(batch, Draws(), {}).penalty
    torch.testing.assert_close(first, torch.full((COUNT,), 3.0 * (1 + 2 / 3)), atol=0.01, rtol=0)
    for _ in range(200):
        loss = encoder(batch, Draws(), {}).penalty.mean()
        for weight, slope in zip(weights, torch.autograd.grad(loss, weights), strict=True):
            weight.data -= 0.1 * slope
    assert float(loss.detach()) < 3.0
    encoder.eval()
    assert encoder(batch, Draws(), {}).penalty is None


def test_an_image_is_read_alike_alone_and_among_others() -> None:
    encoder, batch = built(), make_batch(projection(*truth()))
    whole, alone = encoder(batch, Draws(), {}), encoder(batch.slice(2, 3), Draws(), {})
    torch.testing.assert_close(alone.rotation[0], whole.rotation[2], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(alone.z[0], whole.z[2], atol=1e-5, rtol=1e-5)


def test_pose_sees_z_and_z_can_be_told() -> None:
    encoder, batch = built(), make_batch(projection(*truth()))
    told = torch.randn(COUNT, 2, generator=torch.Generator().manual_seed(1))
    found = encoder(batch, Draws(), {Z_DRAWN: told})
    torch.testing.assert_close(found.z[:, 0], told)
    assert not torch.allclose(found.rotation, encoder(batch, Draws(), {Z_DRAWN: -told}).rotation, atol=1e-3)


def test_variational_z_is_drawn_in_training_and_its_mean_later() -> None:
    encoder, batch = built(variational=True, copies="half-turn"), make_batch(projection(*truth()))
    drawn, mean = encoder(batch, Draws(1.5), {}), encoder(batch, Draws(0.0), {})
    spread = mean.z_covariance.diagonal(dim1=-2, dim2=-1).sqrt()
    torch.testing.assert_close(drawn.z, mean.z + 1.5 * spread)
    encoder.eval()
    torch.testing.assert_close(encoder(batch, Draws(1.5), {}).z, mean.z)
    wanted = torch.distributions.kl_divergence(
        torch.distributions.Normal(mean.z, spread), torch.distributions.Normal(0.0, 1.0)
    ).sum(-1)
    torch.testing.assert_close(mean.divergence, wanted)


def test_sees_signs_of_the_ctf_where_asked() -> None:
    ctf = torch.randn(COUNT, 1, LATTICE.size, generator=torch.Generator().manual_seed(2))
    images = projection(*truth())
    batch = make_batch(images * ctf[:, 0], ctf)
    torch.testing.assert_close(built(phase_flipped=True).seen(batch), images * ctf[:, 0].abs() / 2)
    torch.testing.assert_close(built().seen(batch), images * ctf[:, 0] / 2)


def test_particles_of_several_images_are_refused() -> None:
    with pytest.raises(ConfigError, match="one image per particle"):
        AmortisedEncoder().build(dataclasses.replace(small_context(BOX), several_images=True))
    pair = make_batch(torch.zeros(COUNT, 2, LATTICE.size, dtype=torch.complex64))
    with pytest.raises(ConfigError, match="one image per particle"):
        built()(pair, Draws(), {})


def test_the_likeliest_copy_counts_with_its_own_divergence() -> None:
    nll = torch.tensor([[3.0, 1.0], [2.0, 5.0]], requires_grad=True)
    divergence = torch.tensor([[10.0, 20.0], [30.0, 40.0]])
    hypotheses = Hypotheses(z=torch.zeros(2, 2, 4), divergence=divergence)
    loss = SymmetrisedLikelihood(beta=0.5).loss(nll, hypotheses)
    torch.testing.assert_close(loss, torch.tensor([11.0, 17.0]))
    loss.sum().backward()
    torch.testing.assert_close(nll.grad, torch.tensor([[0.0, 1.0], [1.0, 0.0]]))
