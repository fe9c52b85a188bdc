"""Moves of all particles and the volume together: slices stay, orbits are groups, the posterior is left as it is."""

import dataclasses

import pytest
import torch
from scipy.stats import ks_2samp
from tiny_posterior import Tiny

from hypermol.joint import Together
from hypermol.joint.together import chosen, directions, places
from hypermol.volumes import HarmonicBasis

SEGMENT = HarmonicBasis(z_dim=1, shells=3, radius=0.35, degree=3, motion=1.0)
DOMAINS = {
    "segment": SEGMENT,
    "square": dataclasses.replace(SEGMENT, z_dim=2),
    "circle": dataclasses.replace(SEGMENT, z_dim=2, domain="circle"),
    "rigid": dataclasses.replace(SEGMENT, z_dim=0),
}
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


@pytest.mark.slow
@pytest.mark.parametrize(("domain", "broken"), [("segment", False), ("circle", False), ("segment", True)])
def test_the_joint_law_is_kept(domain, broken):
    """Volume, poses and z from the prior, images from these; after moves of all together, given the images, volume,
    poses and z have the prior's law still (Geweke 2004, J. Am. Stat. Assoc. 99:799). Without
    Jacobians they have not."""
    spec, datasets = DOMAINS[domain], 250
    quantities = {"before": [], "after": []}
    for seed in range(datasets):
        tiny, together, a = problem(spec, 5, noise=2.0, seed=seed)
        generator, at = torch.Generator().manual_seed(seed), tiny.truth
        variance = tiny.spec.variance(tiny.context)
        other, _, unlike = problem(spec, 5, noise=2.0, seed=10000 + seed)
        quantities["before"].append(told(other.truth, unlike, variance))
        for number in range(8):
            ways = [way for way in together.ways if way.kind == "spread"] if broken else together.ways
            way = ways[number % len(ways)]
            length = torch.full((1,), 6 * SMALL[way.kind], dtype=torch.float64)
            direction, amount = directions(1, generator), places(length, generator)
            volumes, grown = together.volumes(way, direction, amount, a)
            there, stretch = together.states(way, direction, amount, at)
            target = dataclasses.replace(tiny.target(), coefficients=volumes[0])
            likely = target.log_likelihood(*(v[:, 0, :, None] for v in (there.rotation, there.shift, there.z)))[..., 0]
            density = (likely + tiny.prior.log_density(there)[:, 0]).sum(0)[None]
            density = density - 0.5 * (volumes.square() / variance).sum((-2, -1))
            density = density if broken else density + stretch.sum(0) + grown
            which = chosen(density, generator)
            a = volumes[torch.arange(1), which]
            at = there.taken(which.expand(len(tiny.truth.z), -1))
        quantities["after"].append(told(at, a, variance))
    before, after = (torch.stack(quantities[name]) for name in ("before", "after"))
    ps = [ks_2samp(x.numpy(), y.numpy()).pvalue for x, y in zip(before.T, after.T, strict=True)]
    assert (min(ps) < 1e-6) if broken else (min(ps) > 1e-4), ps


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
