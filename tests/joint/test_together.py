"""Moves of all particles and the volume together: slices stay, orbits are groups, the posterior is left as it is."""

import dataclasses

import pytest
import torch
from scipy.stats import ks_2samp
from tiny_posterior import Tiny, draws

from hypermol.joint import (
    CoefficientPosterior,
    MarkovChains,
    Metropolis,
    Together,
    first_lengths,
    normal_equations,
)
from hypermol.joint.together import chosen, directions, places
from hypermol.volumes import HarmonicBasis

SEGMENT = HarmonicBasis(z_dim=1, shells=3, radius=0.35, degree=3, motion=1.0)
DOMAINS = {
    "segment": SEGMENT,
    "square": dataclasses.replace(SEGMENT, z_dim=2),
    "circle": dataclasses.replace(SEGMENT, z_dim=2, domain="circle"),
    "rigid": dataclasses.replace(SEGMENT, z_dim=0),
}
SWEEP = MarkovChains(chains=1, moves=2, jumps=24, jump_every=2)
SMALL = {"shift": 0.2, "drift": 0.2, "turn": 0.05, "spread": 0.05}


def problem(spec, count=6, **more):
    tiny = Tiny(count, spec, **more)
    together = Together(tiny.volume.expansion, tiny.volume.conformations, tiny.batch.pixel_size)
    return tiny, together, tiny.volume.coefficients.detach().double()[None]


def smooth(together, a):
    """Only what depends on z by low degrees and is well inside the ball, so that moves lead to what the basis holds."""
    kept = torch.tensor([sum(map(abs, powers)) < 2 for powers in together.conformations.powers]).double()
    inside = torch.cat([torch.from_numpy(f.concentration > 0.9) for f in together.expansion.families]).double()
    return a * kept[:, None] * inside[together.expansion.index["radial"]]


def slices(tiny, a, at):
    """With the phase of the shift, [B, K, P], of one chain."""
    target = dataclasses.replace(tiny.target(), coefficients=a)
    mixed = torch.einsum("bkq,kqn->bkn", together_values(tiny, at.z[:, 0]), a)
    still = target._slices(mixed[:, None, :, None], at.rotation)[:, 0, :, 0]
    phase = torch.einsum("px,bkx->bkp", tiny.batch.lattice.k, at.shift[:, 0, :, :2] / tiny.batch.pixel_size)
    return still * torch.polar(torch.ones_like(phase), -2 * torch.pi * phase)


def together_values(tiny, z):
    return tiny.volume.conformations.values(z)


@pytest.mark.parametrize("domain", DOMAINS)
def test_slices_stay(domain):
    tiny, together, a = problem(DOMAINS[domain])
    a, direction = smooth(together, a), directions(1, torch.Generator().manual_seed(0))
    for way in together.ways:
        amount = torch.tensor([[0.0, SMALL[way.kind]]], dtype=torch.float64)
        volumes, _ = together.volumes(way, direction, amount, a)
        at, _ = together.states(way, direction, amount, tiny.truth)
        here, there = slices(tiny, volumes[0], at).unbind(1)
        _, alone = slices(tiny, a.expand(2, -1, -1), at).unbind(1)
        assert (alone - here).norm() > 1e-3 * here.norm(), way
        assert (there - here).norm() < 0.25 * (alone - here).norm(), way


@pytest.mark.parametrize("domain", DOMAINS)
def test_orbits_are_groups(domain):
    tiny, together, a = problem(DOMAINS[domain])
    direction = directions(1, torch.Generator().manual_seed(1))
    for way in together.ways:
        first, second = torch.tensor([[[0.3]], [[-0.5]]], dtype=torch.float64)
        one, grown = together.volumes(way, direction, first, a)
        both, more = together.volumes(way, direction, second, one[:, 0])
        whole, all_ = together.volumes(way, direction, first + second, a)
        torch.testing.assert_close(both, whole, atol=1e-9, rtol=1e-9)
        torch.testing.assert_close(grown + more, all_)
        there, stretch = together.states(way, direction, first, tiny.truth)
        again = dataclasses.replace(there, **{n: getattr(there, n)[:, :, 0] for n in ("rotation", "shift", "z")})
        end, further = together.states(way, direction, second, again)
        straight, whole_stretch = together.states(way, direction, first + second, tiny.truth)
        for name in ("rotation", "shift", "z"):
            torch.testing.assert_close(getattr(end, name), getattr(straight, name), atol=1e-10, rtol=0)
        torch.testing.assert_close(stretch + further, whole_stretch, atol=1e-10, rtol=0)


@pytest.mark.parametrize("domain", ["segment", "circle"])
def test_jacobians(domain):
    """Of coefficients against a determinant, of z against differences."""
    tiny, together, a = problem(DOMAINS[domain])
    amount, direction = torch.tensor([[0.4]], dtype=torch.float64), directions(1, torch.Generator().manual_seed(2))
    for way in together.ways:
        every = torch.eye(a[0].numel(), dtype=torch.float64).view(-1, *a.shape[1:])
        count = len(every)
        moved, log = together.volumes(way, direction.expand(count, -1), amount.expand(count, -1), every)
        assert torch.linalg.slogdet(moved.reshape(count, count)).logabsdet == pytest.approx(float(log[0]), abs=1e-8)
        if way.kind != "spread":
            continue
        step, z = 1e-6, tiny.truth.z
        ahead, behind = (tiny.prior.moved(z, torch.full_like(z[..., :1], sign * step)) for sign in (1, -1))
        ends = [
            together.states(way, direction, amount, dataclasses.replace(tiny.truth, z=one))[0].z
            for one in (ahead, behind)
        ]
        found = (ends[0] - ends[1]).norm(dim=-1) / (2 * step)
        _, stretch = together.states(way, direction, amount, tiny.truth)
        torch.testing.assert_close(found.log(), stretch, atol=1e-5, rtol=0)


def test_present_point_is_one_of_all():
    """Seen from any of the points, the others lie alike: 0 and the first other have the same law about the centre."""
    found = places(torch.full((20000,), 0.7).double(), torch.Generator().manual_seed(3), 3)
    assert (found[:, 0] == 0).all()
    to_present, to_other = found[:, 1] - found[:, 0], found[:, 2] - found[:, 1]
    assert float(to_present.var()) == pytest.approx(2 * 0.49, rel=0.05)
    assert float(to_other.var()) == pytest.approx(2 * 0.49, rel=0.05)


def led(tiny, together, a, at, way, generator, jacobians=True):
    """One move of all particles and the volume."""
    length = torch.full((1,), 6 * SMALL[way.kind], dtype=torch.float64)
    direction, amount = directions(1, generator), places(length, generator)
    volumes, grown = together.volumes(way, direction, amount, a)
    there, stretch = together.states(way, direction, amount, at)
    target = dataclasses.replace(tiny.target(), coefficients=volumes[0])
    likely = target.log_likelihood(*(v[:, 0, :, None] for v in (there.rotation, there.shift, there.z)))[..., 0]
    density = (likely + tiny.prior.log_density(there)[:, 0]).sum(0)[None]
    density = density - 0.5 * (volumes.square() / tiny.spec.variance(tiny.context)).sum((-2, -1))
    which = chosen(density + (stretch.sum(0) + grown if jacobians else 0), generator)
    return volumes[torch.arange(1), which], there.taken(which.expand(len(at.z), -1))


def swept(tiny, a, at, number, generator):
    """A sweep of every particle by itself, then a draw of the volume: the rest of the Gibbs sampler."""
    target = dataclasses.replace(tiny.target(), coefficients=a)
    kernel = Metropolis(target, tiny.prior, draws(tiny.count, number, seed=tiny.seed))
    at, _ = SWEEP.sweep(kernel, tiny.placed(at, target), first_lengths(at.z, tiny.prior), number)
    variance = tiny.spec.variance(tiny.context)[None]
    return CoefficientPosterior.of(normal_equations(target, at), variance).drawn(generator), at


def evenness(spec, moves):
    """p that volume, poses and z have the prior's law after ``moves`` given images that were drawn from them (Geweke
    2004, J. Am. Stat. Assoc. 99:799), least of several quantities; 250 sets of five particles."""
    quantities = {"before": [], "after": []}
    for seed in range(250):
        tiny, together, a = problem(spec, 5, noise=2.0, seed=seed)
        other, _, unlike = problem(spec, 5, noise=2.0, seed=10000 + seed)
        variance = tiny.spec.variance(tiny.context)
        quantities["before"].append(told(other.truth, unlike, variance))
        quantities["after"].append(told(*moves(tiny, together, a, torch.Generator().manual_seed(seed))[::-1], variance))
    before, after = (torch.stack(quantities[name]) for name in ("before", "after"))
    return min(ks_2samp(x.numpy(), y.numpy()).pvalue for x, y in zip(before.T, after.T, strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("domain", ["segment", "circle"])
def test_the_joint_law_is_kept(domain):
    def moves(tiny, together, a, generator):
        at = tiny.truth
        for way in (*together.ways, *together.ways)[:8]:
            a, at = led(tiny, together, a, at, way, generator)
        return a, at

    assert evenness(DOMAINS[domain], moves) > 1e-4


@pytest.mark.slow
def test_without_jacobians_it_is_not():
    def moves(tiny, together, a, generator):
        at = tiny.truth
        for way in [way for way in together.ways if way.kind == "spread"] * 4:
            a, at = led(tiny, together, a, at, way, generator, jacobians=False)
        return a, at

    assert evenness(SEGMENT, moves) < 1e-6


@pytest.mark.slow
@pytest.mark.parametrize("shrink", [1.0, 0.7])
def test_the_whole_sampler_keeps_it(shrink):
    """Sweeps of every particle, draws of the volume, moves of all together, in turns, as `hyper-molecule` has them; one
    whose volumes are drawn too small does not."""

    def moves(tiny, together, a, generator):
        at = tiny.truth
        for number in range(3):
            a, at = swept(tiny, a, at, number, generator)
            for way in together.ways:
                a, at = led(tiny, together, shrink * a, at, way, generator)
        return a, at

    found = evenness(SEGMENT, moves)
    assert (found > 1e-4) if shrink == 1.0 else (found < 1e-6)


def told(at, a, variance):
    """Of what moves: spread and skewness of z, shifts, the volume's size by degree in z, an overlap of both."""
    z, shift = at.z[:, 0, 0], at.shift[:, 0, 0]
    size = (a[0].square() / variance).mean(1)
    values = [
        z.mean(),
        z.square().mean(),
        z.abs().max(),
        shift.mean(),
        shift.square().mean(),
        *size,
        a[0, 0, 0] * shift[0],
    ]
    return torch.stack([torch.as_tensor(value) for value in values])
