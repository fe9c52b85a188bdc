"""Chains sample the posterior: simulation-based calibration, brute force over a grid, flows that balance."""

import dataclasses
import itertools

import pytest
import torch
from scipy.stats import chisquare
from tiny_posterior import Tiny, chains, draws

from hypermol.imaging import geodesic_angle_deg, so3_grid
from hypermol.joint import Hamiltonian, MarkovChains, Metropolis, VolumeTarget, first_lengths
from hypermol.volumes import HarmonicBasis

COUNT, KEPT = 240, 9
LIKELY = 1e-4
"""Ranks are less even than this by chance once in ten thousand."""
CIRCLE = HarmonicBasis(z_dim=2, domain="circle", shells=3, degree=1, motion=1.0)
FEW = MarkovChains(chains=1, moves=2, jumps=24, jump_every=2)


def evenness(tiny, settings, beta=1.0, target=None, thin=6):
    """p of χ² that the truth's rank among posterior draws is even, of the angle to a frame, shift, z, likelihood (Talts
    et al. 2018, algorithm 1). Chains begin at draws of the prior that know nothing of the truth."""
    target = tiny.target() if target is None else target
    found, _ = chains(tiny, settings, 20, KEPT, thin, beta, target)
    truth, ps = tiny.placed(tiny.truth, target), {}
    here, there = quantities(truth), [quantities(one) for one in found]
    for name, value in here.items():
        rank = sum((one[name] < value).long() for one in there)
        ps[name] = chisquare(torch.bincount(rank, minlength=KEPT + 1).numpy()).pvalue
    return ps


def quantities(at):
    frame = torch.eye(3, dtype=torch.float64).expand(len(at.z), 3, 3)
    angle = geodesic_angle_deg(at.rotation[:, 0], frame)
    return {"angle": angle, "shift": at.shift[:, 0, 0], "z": at.z[:, 0, 0], "likelihood": at.log_likelihood[:, 0]}


@pytest.mark.parametrize(
    "settings", [FEW, dataclasses.replace(FEW, kernel="hmc", moves=1, leapfrog=3)], ids=["metropolis", "hmc"]
)
def test_ranks_of_the_truth_are_even(settings):
    ps = evenness(Tiny(COUNT, noise=4.0, seed=11), settings)
    assert min(ps.values()) > LIKELY, ps


def test_ranks_are_even_on_a_circle():
    ps = evenness(Tiny(COUNT, CIRCLE, noise=4.0, seed=12), FEW)
    assert min(ps.values()) > LIKELY, ps


@pytest.mark.parametrize("beta", [0.5, 2.0])
def test_a_wrong_temperature_is_found_out(beta):
    """The test above fails a sampler of the likelihood's square root, or of its square."""
    assert min(evenness(Tiny(COUNT, noise=4.0, seed=11), FEW, beta).values()) < 1e-2 * LIKELY


def test_any_volume_can_be_sampled():
    """Through the forward model of a Volume, a few particles: the same chains as by the fast likelihood."""
    tiny = Tiny(6, noise=3.0, seed=13)
    plain, fast = VolumeTarget(tiny.volume, tiny.batch), tiny.target()
    first, second = (chains(tiny, FEW, 3, 2, 1, target=target)[0][-1] for target in (plain, fast))
    torch.testing.assert_close(first.rotation, second.rotation, atol=1e-6, rtol=0)
    torch.testing.assert_close(first.z, second.z, atol=1e-6, rtol=0)


def test_means_are_those_of_a_grid():
    """Every rotation (15°) × every z, summed by brute force, the shift being known."""
    tiny = Tiny(4, noise=3.0, seed=14, shift_spread=1e-4)
    target, rotation = tiny.target(), so3_grid(2)
    z = ((torch.arange(20, dtype=torch.float64) + 0.5) / 10 - 1)[:, None]
    turned = rotation[None, None].expand(4, 1, -1, -1, -1)
    still = torch.zeros(4, 1, len(rotation), 2, dtype=torch.float64)
    value = torch.stack(
        [target.log_likelihood(turned, still, one.expand(4, 1, len(rotation), 1))[:, 0] for one in z], 2
    )
    weight = value.flatten(1).softmax(1).view_as(value)
    exact_z = (weight.sum(1) @ z)[:, 0]
    exact_axis = torch.einsum("brz,rij->bij", weight, rotation)
    found, _ = chains(tiny, dataclasses.replace(FEW, chains=40), 10, 50, 1)
    mean_z = torch.stack([one.z[..., 0] for one in found]).mean((0, 2))
    mean_axis = torch.stack([one.rotation for one in found]).mean((0, 2))
    torch.testing.assert_close(mean_z, exact_z, atol=0.08, rtol=0)
    torch.testing.assert_close(mean_axis, exact_axis, atol=0.08, rtol=0)


def test_flows_between_cells_balance():
    """Stationary chains go from each cell of (viewing hemisphere, half of z, in-plane half) to each other as often as
    back."""
    tiny = Tiny(8, noise=2.0, seed=15)
    found, _ = chains(tiny, dataclasses.replace(FEW, chains=40), 12, 50, 1)
    cells = [4 * (s.rotation[..., 2, 2] > 0) + 2 * (s.z[..., 0] > 0) + (s.rotation[..., 0, 0] > 0) for s in found]
    flows = torch.zeros(8, 8, dtype=torch.int64)
    for before, after in itertools.pairwise(cells):
        flows += torch.bincount((8 * before + after).flatten(), minlength=64).view(8, 8)
    there, back = flows[torch.triu_indices(8, 8, 1).unbind()], flows.T[torch.triu_indices(8, 8, 1).unbind()]
    scores = ((there - back) / (there + back).clamp(min=1).sqrt())[there + back > 20]
    assert len(scores) > 12
    assert scores.abs().max() < 4.5


def test_choices_among_enumerated_states_have_the_stated_shares():
    """Four half turns, the shares of each known exactly: detailed balance holds by the shares alone, since the choice
    does not look at where the chain was."""
    tiny = Tiny(4, noise=1.0, seed=16)
    many = 4000
    target = tiny.target(1)
    at = tiny.from_prior(1, "one")
    wide = dataclasses.replace(target, coefficients=target.coefficients.expand(many, -1, -1))
    same = [getattr(at, name).expand(-1, many, *getattr(at, name).shape[2:]) for name in ("rotation", "shift", "z")]
    kernel = Metropolis(wide, tiny.prior, draws(4, 0))
    start = dataclasses.replace(at, **dict(zip(("rotation", "shift", "z"), same)), log_likelihood=torch.zeros(4, many))
    after = kernel.flip("flip", start)
    turns = torch.diag_embed(torch.tensor([[1.0, 1, 1], [-1, -1, 1], [1, -1, -1], [-1, 1, -1]]).double())
    four = turns @ at.rotation[:, :, None]
    exact = target.log_likelihood(four, *(v[:, :, None].expand(-1, -1, 4, -1) for v in (at.shift, at.z)))[:, 0].softmax(
        1
    )
    which = (after.rotation[:, :, None] - four).abs().sum((-2, -1)).argmin(-1)
    shares = torch.nn.functional.one_hot(which, 4).double().mean(1)
    torch.testing.assert_close(shares, exact, atol=5 * 0.5 / many**0.5, rtol=0)


def test_trajectories_can_be_walked_back_and_keep_their_energy():
    tiny = Tiny(8, noise=1.0, seed=17)
    target = tiny.target()
    at = tiny.placed(tiny.from_prior(1, "here"), target)
    kernel = Metropolis(target, tiny.prior, draws(8, 0))
    momentum = torch.randn(8, 1, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    scale = torch.tensor([0.3, 0.3, 0.3, 1.0, 1.0, 0.3], dtype=torch.float64).expand(8, 1, 6)

    def walked(start, momentum, steps, size):
        step = torch.full((8, 1, 1), size, dtype=torch.float64)
        return Hamiltonian(kernel, steps).trajectory(start, momentum, step, scale)

    _, _, coarse = walked(at, momentum, 8, 0.04)
    end, last, fine = walked(at, momentum, 16, 0.02)
    assert 3 < coarse.abs().mean() / fine.abs().mean() < 5.5  # second order
    assert fine.abs().mean() < 0.05
    assert (end.rotation - at.rotation).abs().max() > 0.01
    back, first, gain = walked(end, -last, 16, 0.02)
    torch.testing.assert_close(back.rotation, at.rotation, atol=1e-10, rtol=0)
    torch.testing.assert_close(back.shift, at.shift, atol=1e-10, rtol=0)
    torch.testing.assert_close(back.z, at.z, atol=1e-10, rtol=0)
    torch.testing.assert_close(first, -momentum, atol=1e-9, rtol=0)
    torch.testing.assert_close(gain, -fine, atol=1e-9, rtol=0)


def test_steps_of_z_stay_in_its_domain_and_are_symmetric():
    tiny = Tiny(1, seed=18)
    z = torch.linspace(-1, 1, 41, dtype=torch.float64)[:, None]
    for step in (0.3, -0.7, 2.6, -5.1):
        moved = tiny.prior.moved(z, torch.full_like(z, step))
        assert moved.abs().max() <= 1 + 1e-12
        back = torch.stack([tiny.prior.moved(moved, torch.full_like(z, s)) for s in (step, -step)])
        assert ((back - z).abs().amin(0) < 1e-12).all()
    angle = torch.linspace(0, 6, 20, dtype=torch.float64)
    circle = dataclasses.replace(tiny.prior, domain="circle", z_dim=2)
    there = circle.moved(torch.stack([angle.cos(), angle.sin()], -1), torch.full((20, 1), 0.4).double())
    torch.testing.assert_close(there[:, 0], torch.cos(angle + 0.4))


def test_lengths_are_tuned_to_the_asked_share():
    tiny = Tiny(40, noise=0.05, seed=19)
    start = tiny.placed(tiny.truth, tiny.target())
    found, lengths = chains(tiny, dataclasses.replace(FEW, moves=4, jumps=0), 30, 1, 1, start=start)
    target = tiny.target()
    kernel = Metropolis(target, tiny.prior, draws(40, 99))
    shares = torch.stack([kernel.turn(f"t{i}", found[0], lengths[..., 0])[1] for i in range(60)]).mean()
    assert 0.2 < float(shares) < 0.5
    assert lengths[..., 0].max() < first_lengths(found[0].z, tiny.prior)[0, 0, 0] * 10


def test_uniform_quaternions_and_turns_keep_the_prior():
    """With nothing to see (β = 0) chains have the prior: the trace of a uniform rotation has mean 0 and variance 1."""
    tiny = Tiny(500, noise=1.0, seed=20)
    found, _ = chains(tiny, FEW, 3, 4, 2, beta=0.0)
    trace = torch.stack([one.rotation.diagonal(dim1=-2, dim2=-1).sum(-1) for one in found])
    assert abs(float(trace.mean())) < 0.12
    assert abs(float(trace.var()) - 1) < 0.15
    z = torch.stack([one.z for one in found])
    assert abs(float(z.var()) - 1 / 3) < 0.03
    shift = torch.stack([one.shift for one in found])
    assert abs(float(shift.std()) / tiny.shift_spread - 1) < 0.06
