"""Posterior of z under the distribution of conformations that all particles together show, in place of N(0, 1).

Where a molecule moves along a curve in z, knowing the curve is worth as much as the images of one particle: a normal
prior lets each posterior lie beside it. The prior is learned by maximum likelihood: a mixture of narrow Gaussians whose
centres and weights follow from EM (Laird 1978, J. Am. Stat. Assoc. 73:805), begun at posterior means and stopped
early. Each particle's likelihood is its posterior under N(0, 1) divided by that prior, Gaussian again.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
from torch import Tensor

from hypermol.conformations.groups import density_groups, of_nearest
from hypermol.shapes import Float

ATOMS = 1500
ROUNDS = 5  # more change nothing but the height of spikes
LEARNED_FROM = 20_000
WIDTH = 0.05  # of an atom, in standard deviations of the normal prior: far below what one particle tells
GROUPED_FROM = 5000
STATES_BETWEEN = 0.1
"""Share of particles that may lie between separate states: more, and they are preferred shapes of a continuum."""
_CHUNK = 5000


def learned_posteriors(
    mean: Float[Tensor, "n k"], covariance: Float[Tensor, "n k k"], states: bool = False
) -> dict[str, Tensor]:
    """What a method tells of each particle, given posteriors under N(0, 1): z and z_covariance under the distribution
    that all show; z_normal and z_normal_covariance as given, from which what the images alone say can be had.

    With ``states``, also class_probability [n, m] where that distribution falls into m separate groups.
    """
    prior = EmpiricalPrior.learned(mean, covariance)
    rows = prior.rows(mean, covariance)
    if states and (member := prior.separate_states(crossed_means(mean, covariance))) is not None:
        rows["class_probability"] = prior.shares_of(member, mean, covariance)
    return rows


def crossed_means(mean: Float[Tensor, "n k"], covariance: Float[Tensor, "n k k"]) -> Float[Tensor, "n k"]:
    """z of each particle under the distribution that the other half of the particles (drawn from a seed) shows, given
    posteriors under N(0, 1): what groups of particles are looked for in.

    A learned distribution is lumpy by chance, and draws the particles that it was learned from to its lumps: a gap
    that is there for the others too is a gap.
    """
    draw = torch.Generator().manual_seed(0)
    half = (torch.randperm(len(mean), generator=draw) % 2).to(mean.device)
    found = torch.empty_like(mean)
    for own in (half == 0, half == 1):
        found[own] = EmpiricalPrior.learned(mean[~own], covariance[~own]).posterior(mean[own], covariance[own])[0]
    return found


@dataclasses.dataclass(frozen=True, eq=False)
class EmpiricalPrior:
    """Σ_m exp(log_weight_m) N(z; atom_m, WIDTH²): atoms [m, k], log_weight [m]. float64."""

    atoms: Float[Tensor, "m k"]
    log_weight: Float[Tensor, " m"]

    @staticmethod
    def learned(mean: Float[Tensor, "n k"], covariance: Float[Tensor, "n k k"]) -> EmpiricalPrior:
        """From posteriors under N(0, 1) of all particles (a seeded sample of many)."""
        order = torch.randperm(len(mean), generator=torch.Generator().manual_seed(0)).to(mean.device)
        some = order[:LEARNED_FROM]
        seen = _Likelihood.of(mean[some], covariance[some]).blurred(WIDTH)
        atoms = mean[order[:ATOMS]].double()
        prior = EmpiricalPrior(atoms, torch.zeros_like(atoms[:, 0]))
        for _ in range(ROUNDS):
            prior = prior._improved(seen)
        return prior

    def rows(self, mean: Float[Tensor, "n k"], covariance: Float[Tensor, "n k k"]) -> dict[str, Tensor]:
        """What is told of each particle: under this prior, and as given."""
        found, spread = self.posterior(mean, covariance)
        return {"z": found, "z_covariance": spread, "z_normal": mean, "z_normal_covariance": covariance}

    def posterior(
        self, mean: Float[Tensor, "n k"], covariance: Float[Tensor, "n k k"]
    ) -> tuple[Float[Tensor, "n k"], Float[Tensor, "n k k"]]:
        """Mean and covariance of z under this prior, given those under N(0, 1)."""
        parts = [self._posterior(m, c) for m, c in zip(mean.double().split(_CHUNK), covariance.double().split(_CHUNK))]
        means, covariances = zip(*parts)
        return torch.cat(means).to(mean), torch.cat(covariances).to(covariance)

    def separate_states(self, z: Float[Tensor, "n k"]) -> Float[Tensor, "k2 m"] | None:
        """The groups that the density of z (``crossed_means``) divides into, few particles between them: which of them
        each atom is of (the nearest), one-hot. None where there is one cloud."""
        places = z.double().cpu().numpy()
        label = density_groups(places, most=GROUPED_FROM)
        known = label >= 0
        if known.mean() < 1 - STATES_BETWEEN:
            return None
        owner = of_nearest(self.atoms.cpu().numpy(), places[known], label[known])
        found, number = np.unique(owner, return_inverse=True)  # groups without an atom are none
        if len(found) < 2:
            return None
        return torch.nn.functional.one_hot(torch.from_numpy(number)).to(self.atoms)

    def shares_of(
        self, member: Float[Tensor, "k m"], mean: Float[Tensor, "n k2"], covariance: Float[Tensor, "n k2 k2"]
    ) -> Float[Tensor, "n m"]:
        """Probability of each particle to be of each state, given which of them each atom is of."""
        parts = zip(mean.double().split(_CHUNK), covariance.double().split(_CHUNK))
        return torch.cat([self._shares(_Likelihood.of(m, c).blurred(WIDTH)) @ member for m, c in parts]).to(mean)

    def _posterior(self, mean: Tensor, covariance: Tensor) -> tuple[Tensor, Tensor]:
        seen = _Likelihood.of(mean, covariance)
        shares = self._shares(seen.blurred(WIDTH))
        centre = shares @ self.atoms
        squares = (shares @ _products(self.atoms)).unflatten(1, covariance.shape[1:])
        spread = squares - centre[:, :, None] * centre[:, None]
        pull = WIDTH**-2
        own = torch.linalg.inv(seen.information + pull * torch.eye(mean.shape[1]).to(mean))  # given the atom
        found = (own @ (seen.pull + pull * centre)[..., None])[..., 0]
        return found, own + pull**2 * own @ spread @ own

    def _shares(self, seen: _Likelihood) -> Tensor:
        """Probability of each atom, [n, m]."""
        quadratic = seen.information.flatten(1) @ _products(self.atoms).T
        return torch.softmax(seen.pull @ self.atoms.T - 0.5 * quadratic + self.log_weight, 1)

    def _improved(self, seen: _Likelihood) -> EmpiricalPrior:
        size = self.atoms.shape[1]
        weight, information, pull = (torch.zeros_like(x) for x in (self.log_weight, _products(self.atoms), self.atoms))
        for start in range(0, len(seen.pull), _CHUNK):
            part = seen[start : start + _CHUNK]
            shares = self._shares(part)
            weight += shares.sum(0)
            information += shares.T @ part.information.flatten(1)
            pull += shares.T @ part.pull
        # an atom that nobody is near stays where it is
        damping = 1e-6 * torch.eye(size).to(pull)
        matrix = information.unflatten(1, (size, size)) + damping
        atoms = torch.linalg.solve(matrix, (pull + self.atoms @ damping)[..., None])[..., 0]
        return EmpiricalPrior(atoms, (weight / weight.sum()).clamp(min=1e-12).log())


@dataclasses.dataclass(frozen=True, eq=False)
class _Likelihood:
    """log L(z) = pull·z - ½ z·information·z + const per particle: information [n, k, k], pull [n, k]."""

    information: Tensor
    pull: Tensor

    @staticmethod
    def of(mean: Tensor, covariance: Tensor) -> _Likelihood:
        mean, precision = mean.double(), torch.linalg.inv(covariance.double())
        one = torch.eye(mean.shape[1]).to(precision)
        values, vectors = torch.linalg.eigh(precision - one)
        information = (vectors * values.clamp(min=0)[:, None]) @ vectors.mT
        return _Likelihood(information, (precision @ mean[..., None])[..., 0])

    def blurred(self, width: float) -> _Likelihood:
        """Of the centre of a Gaussian of this width in which z lies."""
        one = torch.eye(self.pull.shape[1]).to(self.pull)
        factor = torch.linalg.inv(one + width**2 * self.information)
        return _Likelihood(factor @ self.information, (factor @ self.pull[..., None])[..., 0])

    def __getitem__(self, index: slice) -> _Likelihood:
        return _Likelihood(self.information[index], self.pull[index])


def _products(atoms: Tensor) -> Tensor:
    return (atoms[:, :, None] * atoms[:, None]).flatten(1)
