"""Images drawn from a tiny hyper-molecule whose prior is known, and chains run on them outside the engine."""

import dataclasses

import torch

from hypermol.engine import Draws, generator
from hypermol.imaging import Lattice, quaternion_to_matrix, shift_phase, slice_coordinates
from hypermol.joint import BasisTarget, MarkovChains, Metropolis, Prior, States, first_lengths, plane_of, tuned
from hypermol.particles import Batch
from hypermol.specs import BuildContext
from hypermol.volumes import HarmonicBasis

CPU = torch.device("cpu")


def draws(count, *key, seed=0):
    return Draws(seed, key, count, 0, count, CPU)


SEGMENT = HarmonicBasis(z_dim=1, shells=3, radius=0.35, motion=1.0)


@dataclasses.dataclass
class Tiny:
    """``count`` particles of J = len(tilts) images: their batch, truth, prior, and target under copies of the true
    volume, one for each chain."""

    count: int
    spec: HarmonicBasis = SEGMENT
    noise: float = 1.0
    seed: int = 0
    box: int = 8
    shift_spread: float = 3.0
    tilts: tuple = (None,)

    def __post_init__(self):
        signal = torch.linspace(1.0, 0.5, self.box // 2)
        points = Lattice.disc(self.box).size
        self.context = BuildContext(self.box, 3.0, self.count, points, signal, torch.ones(self.box // 2), self.seed)
        self.volume = self.spec.build(self.context).double().requires_grad_(False)
        self.prior = Prior(self.shift_spread, self.spec.domain, self.spec.z_dim)
        self.truth = self.from_prior(1, "truth")
        self.batch = self._images()

    def from_prior(self, chains, *key):
        """Independent draws [B, C] of pose and z; their likelihood is not looked at."""
        own, size = draws(self.count, 0, seed=hash_of(self.seed, *key)), 3 if len(self.tilts) > 1 else 2
        rotation = quaternion_to_matrix(own.normal("rotation", chains, 4, dtype=torch.float64))
        shift = self.shift_spread * own.normal("shift", chains, size, dtype=torch.float64)
        z = self.prior.z_of(own.uniform("z", chains, self.prior.freedom, dtype=torch.float64))
        return States(rotation, shift, z, torch.zeros(self.count, chains, dtype=torch.float64))

    def _images(self):
        lattice = Lattice.disc(self.box, self.spec.shells, dtype=torch.float64)
        eye = torch.eye(3, dtype=torch.float64)
        tilt = torch.stack([eye if one is None else one for one in self.tilts])
        rotation, images = self.truth.rotation[:, 0], []
        ctf = torch.cos(4 * lattice.k.norm(dim=1)).expand(self.count, len(tilt), -1)
        g = generator(self.seed, "noise")
        for place, one in enumerate(tilt):
            slices = self.volume.values(slice_coordinates(lattice.k, one @ rotation), self.truth.z[:, 0])
            whole = torch.nn.functional.pad(self.truth.shift[:, 0], (0, 3 - self.truth.shift.shape[-1]))
            moved = (one @ whole[..., None])[:, :2, 0] / 3.0
            clean = slices * shift_phase(lattice.k, moved) * ctf[:, place]
            parts = torch.randn(2, self.count, lattice.size, generator=g, dtype=torch.float64)
            noise = torch.complex(parts[0], parts[1]) * (self.noise / 2) ** 0.5
            noise[:, 0] = parts[0][:, 0] * self.noise**0.5  # the origin is real
            images.append(clean + noise)
        images = torch.stack(images, 1)
        tilt = tilt.expand(self.count, -1, -1, -1)
        every = torch.arange(self.count)
        return Batch(
            every,
            images,
            torch.ones(images.shape[:2], dtype=torch.bool),
            ctf,
            torch.full(images.shape, self.noise, dtype=torch.float64),
            rotation,
            self.truth.shift[:, 0],
            tilt,
            torch.zeros(self.count, len(self.tilts), 2, dtype=torch.float64),
            every % 2,
            lattice,
            3.0,
        )

    def target(self, chains=1):
        coefficients = self.volume.coefficients.detach().double().expand(chains, -1, -1)
        expansion = self.volume.expansion
        return BasisTarget.of(
            expansion, self.volume.conformations, coefficients, plane_of(expansion, self.batch.lattice), self.batch
        )

    def placed(self, at, target):
        value = target.log_likelihood(at.rotation[:, :, None], at.shift[:, :, None], at.z[:, :, None])[:, :, 0]
        return dataclasses.replace(at, log_likelihood=value)


def hash_of(*key):
    return int(torch.randint(1 << 31, (), generator=generator(0, *key)))


def chains(tiny, settings: MarkovChains, burn, kept, thin, beta=1.0, target=None, start=None, seed=1):
    """States [B, C] after each of ``kept`` × ``thin`` sweeps that follow ``burn`` sweeps of tuning; and the lengths."""
    target = tiny.target(settings.chains) if target is None else target
    at = tiny.placed(tiny.from_prior(settings.chains, "start", seed) if start is None else start, target)
    lengths, found = first_lengths(at.z, tiny.prior), []
    for number in range(burn + kept * thin):
        kernel = Metropolis(target, tiny.prior, draws(tiny.count, number, seed=seed), beta)
        at, shares = settings.sweep(kernel, at, lengths, number)
        if number < burn:
            lengths = tuned(lengths, shares, number, tiny.prior)
        elif (number - burn) % thin == thin - 1:
            found.append(at)
    return found, lengths
