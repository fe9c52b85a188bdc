"""What the images of each particle say of its conformation, apart from the prior; and whether it is to be believed.

A posterior mean is drawn towards the prior, more so where the images say little: a histogram of posterior means shows
neither the particles nor their blur. What is deconvolved is the likelihood, posterior over prior.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hypermol.errors import DataError
from hypermol.shapes import Float


@dataclass(frozen=True)
class Observations:
    """Of n particles the log-likelihood of coordinates u [k], pull·u - ½ u·information·u + const.

    information [n, k, k] (positive semidefinite: a direction that the images do not see has none), pull [n, k].
    """

    information: Float[np.ndarray, "n k k"]
    pull: Float[np.ndarray, "n k"]

    @property
    def size(self) -> int:
        """n."""
        return len(self.pull)

    def subset(self, index: np.ndarray) -> Observations:
        """Some particles."""
        return Observations(self.information[index], self.pull[index])

    def log_likelihood(self, u: Float[np.ndarray, "g k"]) -> Float[np.ndarray, "n g"]:
        """At points u, less the largest of each particle."""
        squares = (u[:, :, None] * u[:, None, :]).reshape(len(u), -1)
        value = self.pull @ u.T - 0.5 * self.information.reshape(self.size, -1) @ squares.T
        return value - value.max(axis=1, keepdims=True)


def observations(
    mean: Float[np.ndarray, "n d"],
    covariance: Float[np.ndarray, "n d d"],
    axes: Float[np.ndarray, "k d"],
    origin: Float[np.ndarray, " d"],
) -> Observations:
    """The likelihoods behind Gaussian posteriors of z, of u = axes (z - origin); the rest of z is integrated out.

    The prior is taken to be Gaussian with the mean of all and the covariance that all posteriors together have,
    E[S_i] + Cov(m_i) (what a fitted prior is; N(0, 1) for ``ppca`` and ``covariance``). Raises DataError where a
    covariance is not positive.
    """
    spread = np.cov(mean.T).reshape(mean.shape[1], -1) + covariance.mean(axis=0)
    prior = np.linalg.inv(axes @ spread @ axes.T)
    own = np.einsum("ka,nab,lb->nkl", axes, covariance, axes)
    if not (np.linalg.eigvalsh(own)[:, 0] > 0).all():
        raise DataError("z_covariance: expected positive posterior variances, found zero or negative ones")
    precision = np.linalg.inv(own)
    position = (mean - origin) @ axes.T
    centre = (mean.mean(axis=0) - origin) @ axes.T
    information = precision - prior
    values, vectors = np.linalg.eigh(information)
    information = np.einsum("nka,na,nla->nkl", vectors, values.clip(min=0), vectors)
    return Observations(information, np.einsum("nkl,nl->nk", precision, position) - prior @ centre)


def coverage(
    mean: Float[np.ndarray, "n d"],
    covariance: Float[np.ndarray, "n d d"],
    truth: Float[np.ndarray, "n d"],
    level: float,
) -> float:
    """Share of particles whose true z lies in the posterior's region of probability ``level``; equal if calibrated."""
    from scipy.stats import chi2

    error = truth - mean
    distance = np.einsum("ni,ni->n", error, np.linalg.solve(covariance, error[..., None])[..., 0])
    return float((distance < chi2.ppf(level, mean.shape[1])).mean())


def calibration_notes(mean: Float[np.ndarray, "n d"], covariance: Float[np.ndarray, "n d d"]) -> tuple[str, ...]:
    """What the posteriors alone say of their calibration: against a prior of variance 1, E[S] + Cov(m) must be 1.

    Less: they are too narrow, or z does not fill its prior; more: too wide. Whether they cover the truth only known
    conformations can say (``coverage``; `hypermol validate` makes such images).
    """
    stated = np.diagonal(covariance, axis1=1, axis2=2).mean(axis=0)
    total = stated + mean.var(axis=0)
    words = ", ".join(f"{value:.2f}" for value in total)
    share = ", ".join(f"{100 * value:.0f} %" for value in (stated / total) ** 0.5)
    notes = [
        f"Calibration of z: posterior variance and spread of the means add up to {words} of the prior's 1; "
        f"the uncertainty of one particle is {share} of the spread of all."
    ]
    if (np.abs(total - 1) > 0.25).any():
        notes.append(
            "The posteriors of z do not add up to their prior: the deconvolved density, free energies and populations "
            "rest on uncertainties that may be wrong; `hypermol validate` measures them."
        )
    return tuple(notes)
