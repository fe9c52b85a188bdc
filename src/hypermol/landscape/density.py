"""Density of conformations, deconvolved of each particle's own uncertainty, with bootstrap error bars.

ρ = Σ_g q_g N(u; g, h²): a sieve of Gaussians of width h on a grid (Geman & Hwang 1982, Ann. Stat. 10:401), q by maximum
likelihood (Laird 1978, J. Am. Stat. Assoc. 73:805) by EM,

    q_g ← q_g · mean_i [K_h ℓ_i]_g / Σ_g' ℓ_i(g') ρ(g'),

with ℓ_i what the images of particle i say. h by the likelihood of held-out particles. All h, folds and bootstrap
samples are columns of one product of matrices.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import reduce

import numpy as np

from hypermol.landscape.latent import subsample
from hypermol.landscape.observations import Observations
from hypermol.shapes import Float

GRID = {1: 120, 2: 40, 3: 16}
"""Points along each axis, by dimensions."""
LIMIT = 10_000
"""Particles that carry the density."""
PASSES = 200
WIDTHS = (0.015, 0.025, 0.04, 0.065, 0.1, 0.16)
"""Widths of the sieve that are tried, as shares of the grid's extent."""
FOLDS = 4
NARROWER = 1.6


@dataclass(frozen=True)
class Grid:
    """A regular grid: ``axes``, one array of positions per dimension; nodes in C order."""

    axes: tuple[Float[np.ndarray, " m"], ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Nodes along each axis."""
        return tuple(len(axis) for axis in self.axes)

    @property
    def steps(self) -> Float[np.ndarray, " k"]:
        """Distance between nodes, per axis."""
        return np.array([axis[1] - axis[0] for axis in self.axes])

    @property
    def points(self) -> Float[np.ndarray, "g k"]:
        """All nodes."""
        return np.stack(np.meshgrid(*self.axes, indexing="ij"), -1).reshape(-1, len(self.axes))

    def smooth(self, values: Float[np.ndarray, "g b"], width: float) -> Float[np.ndarray, "g b"]:
        """Columns convolved with a Gaussian ``width`` steps wide, each node's share kept on the grid; its adjoint is
        ``spread`` of the same."""
        return self._apply([kernel.T for kernel in self._kernels(width)], values)

    def spread(self, values: Float[np.ndarray, "g b"], width: float) -> Float[np.ndarray, "g b"]:
        """The adjoint of ``smooth``."""
        return self._apply(self._kernels(width), values)

    def _kernels(self, width: float) -> list[np.ndarray]:
        """Per axis [from, to], rows of sum 1."""
        rows = [np.exp(-0.5 * ((np.arange(n)[:, None] - np.arange(n)) / width) ** 2) for n in self.shape]
        return [row / row.sum(axis=1, keepdims=True) for row in rows]

    def _apply(self, matrices: list[np.ndarray], values: np.ndarray) -> np.ndarray:
        whole = values.reshape(*self.shape, -1)
        whole = reduce(
            lambda held, item: np.moveaxis(np.tensordot(item[1], held, (1, item[0])), 0, item[0]),
            enumerate(matrices),
            whole,
        )
        return whole.reshape(values.shape)


@dataclass(frozen=True)
class Density:
    """A density of conformations on a grid of u.

    value [G]: probability per unit volume of u; draws [B, G]: the same of bootstrap samples; bias [G]: by how much
    (root mean square) -ln ρ is off because the sieve smooths; width: of the sieve, in steps; particles: that carry it.
    """

    grid: Grid
    value: Float[np.ndarray, " g"]
    draws: Float[np.ndarray, "b g"]
    bias: Float[np.ndarray, " g"]
    width: float
    particles: int

    @property
    def cell(self) -> float:
        """Volume of a node."""
        return float(np.prod(self.grid.steps))

    @property
    def faintest(self) -> float:
        """The density of one particle in the volume of a Gaussian of the sieve: less cannot be told from none."""
        volume = self.cell * np.prod([min(self.width * (2 * np.pi) ** 0.5, n) for n in self.grid.shape])
        return float(1 / (volume * self.particles))

    @property
    def seen(self) -> np.ndarray:
        """bool [G]: where the density is that of one particle or more."""
        return self.value >= self.faintest

    def free_energy(self) -> Float[np.ndarray, " g"]:
        """-ln ρ in units of kT, 0 at the lowest; where nothing is seen, what it is at least."""
        return self.energy_of(self.value)

    def energy_of(self, value: Float[np.ndarray, "*b g"]) -> Float[np.ndarray, "*b g"]:
        """The same of other densities, above the lowest of this one."""
        return np.log(self.value.max()) - np.log(np.maximum(value, self.faintest))

    def error(self) -> Float[np.ndarray, " g"]:
        """One standard error of -ln ρ (kT): of the bootstrap samples about the estimate, and the bias."""
        step = self.energy_of(self.draws) - self.free_energy()
        return np.sqrt((step**2).mean(axis=0) + self.bias**2) if len(self.draws) else self.bias


def density_grid(mean: Float[np.ndarray, "n k"], spread: Float[np.ndarray, "n k"]) -> Grid:
    """A grid that holds the particles: the posterior means (central 99 %) and two and a half deviations beyond."""
    count = GRID[mean.shape[1]]
    low, high = np.percentile(mean, [0.5, 99.5], axis=0)
    margin = 2.5 * np.median(spread, axis=0) + 0.05 * (high - low)
    return Grid(tuple(np.linspace(a, b, count) for a, b in zip(low - margin, high + margin)))


def deconvolved(
    observed: Observations, grid: Grid, samples: int = 24, seed: int = 0, limit: int = LIMIT, width: float | None = None
) -> Density:
    """The density on ``grid`` and ``samples`` bootstrap samples of it; ``width`` of the sieve in steps, by default the
    one under which held-out particles are likeliest. At most ``limit`` particles are used, seeded.

    A sieve wide enough to be steady smooths. Its bias² is the squared step to a narrower one, less what chance makes
    of that step (its variance over the same bootstrap samples), averaged over the width of the sieve.
    """
    observed = observed.subset(subsample(observed.size, limit, seed))
    likelihood = np.exp(observed.log_likelihood(grid.points)).astype(np.float32)
    if width is None:
        width = _chosen_width(likelihood, grid, seed)
    weights = np.ones((observed.size, 1 + samples), dtype=np.float32)
    random = np.random.default_rng([seed, 1])
    for sample in range(samples):
        drawn = random.integers(0, observed.size, observed.size)
        weights[:, 1 + sample] = np.bincount(drawn, minlength=observed.size)
    if samples == 0:
        value = _fitted(likelihood, grid, [width], weights)[:, 0] / np.prod(grid.steps)
        return Density(grid, value, np.zeros((0, len(value))), np.zeros(len(value)), width, observed.size)
    both = [width] * (1 + samples) + [width / NARROWER] * (1 + samples)
    found = _fitted(likelihood, grid, both, np.tile(weights, 2)).T / np.prod(grid.steps)
    wide, narrow = found[: 1 + samples], found[1 + samples :]
    plain = Density(grid, wide[0], wide[1:].copy(), np.zeros(found.shape[1]), width, observed.size)
    step = plain.energy_of(narrow) - plain.energy_of(wide)
    excess = grid.spread((step[0] ** 2 - step[1:].var(axis=0))[:, None], width / NARROWER)[:, 0]
    return dataclasses.replace(plain, bias=np.sqrt(excess.clip(min=0)))


def _chosen_width(likelihood: np.ndarray, grid: Grid, seed: int) -> float:
    """The widest that explains held-out particles as well as the best does, within one standard error of the
    difference (Breiman et al. 1984): what a narrower sieve adds cannot be told from chance."""
    fold = np.random.default_rng([seed, 0]).permutation(len(likelihood)) % FOLDS
    kept = np.stack([fold != number for number in range(FOLDS)], 1).astype(np.float32)
    widths = [share * max(grid.shape) for share in WIDTHS]
    found = _fitted(likelihood, grid, np.repeat(widths, FOLDS).tolist(), np.tile(kept, len(widths)))
    held = np.log(np.maximum(likelihood @ found.astype(np.float32), 1e-30)).reshape(len(fold), len(widths), FOLDS)
    score = held[np.arange(len(fold)), :, fold].astype(np.float64)
    behind = score[:, [score.mean(axis=0).argmax()]] - score
    good = behind.mean(axis=0) <= behind.std(axis=0) / len(fold) ** 0.5
    return widths[int(np.flatnonzero(good)[-1])]


def _fitted(likelihood: np.ndarray, grid: Grid, widths: list[float], weights: np.ndarray) -> Float[np.ndarray, "g b"]:
    """Probability of each node, per column of ``weights`` [n, B] with the width of that column."""
    groups = {width: np.flatnonzero(np.array(widths) == width) for width in widths}
    total = weights.sum(axis=0)
    mixing = np.full((likelihood.shape[1], weights.shape[1]), 1 / likelihood.shape[1], dtype=np.float32)

    def each(apply: str, values: np.ndarray) -> np.ndarray:
        out = np.empty_like(values)
        for width, columns in groups.items():
            out[:, columns] = getattr(grid, apply)(values[:, columns], width)
        return out

    for _ in range(PASSES):
        evidence = np.maximum(likelihood @ each("smooth", mixing), 1e-30)
        mixing *= each("spread", likelihood.T @ (weights / evidence)) / total
    return each("smooth", mixing).astype(np.float64) / mixing.sum(axis=0)
