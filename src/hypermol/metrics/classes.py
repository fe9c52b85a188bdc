"""Discrete states: how well found classes match true ones. Names of classes are arbitrary and never compared."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hypermol.errors import DataError
from hypermol.shapes import Float, Int


@dataclass(frozen=True)
class ClassScores:
    """Found classes against true ones.

    error: share of the particles off the best one-to-one matching of found with true classes, 0 (best) … 1; one class
    for all gives 1 - the largest true class's share (confusion error, Levy et al. 2022, §4.1).
    recall: for each true class, in the order of ``labels``, the share of its particles in the matched found class,
    0 … 1; 0 where no found class was left to match. One class for all gives 1 for one class and 0 for the others.
    ari, ami: adjusted Rand index and adjusted mutual information: 1 best, 0 on average for random classes.
    table: particles [true class, found class], rows in the order of ``labels``, columns of ``found_labels``.
    matched: for each true class the column of its found class, -1 where none.
    """

    error: float
    recall: Float[np.ndarray, " k"]
    ari: float
    ami: float
    labels: np.ndarray
    found_labels: np.ndarray
    table: Int[np.ndarray, "k f"]
    matched: Int[np.ndarray, " k"]

    @property
    def true_share(self) -> Float[np.ndarray, " k"]:
        """Population of each true class, in the order of ``labels``; sums to 1."""
        return self.table.sum(1) / self.table.sum()

    @property
    def found_share(self) -> Float[np.ndarray, " k"]:
        """Population of the found class matched to each true one, 0 where none; the rest of 1 is matched to nothing."""
        share = np.append(self.table.sum(0) / self.table.sum(), 0.0)
        return share[self.matched]


def confusion(found: np.ndarray, true: np.ndarray) -> ClassScores:
    """Scores of the class ``found`` [N] of each particle against its ``true`` [N] class (labels of any type).

    The matching maximises the particles that agree (Kuhn 1955). Raises DataError where the lengths differ or are 0.
    """
    from scipy.optimize import linear_sum_assignment

    labels, found_labels, table = contingency(found, true)
    rows, columns = linear_sum_assignment(table, maximize=True)
    matched = np.full(len(labels), -1)
    matched[rows] = columns
    agreed = np.zeros(len(labels))
    agreed[rows] = table[rows, columns]
    error = float(1 - agreed.sum() / table.sum())
    return ClassScores(
        error,
        agreed / table.sum(1),
        adjusted_rand_index(table),
        adjusted_mutual_information(table),
        labels,
        found_labels,
        table,
        matched,
    )


def contingency(found: np.ndarray, true: np.ndarray) -> tuple[np.ndarray, np.ndarray, Int[np.ndarray, "k f"]]:
    """True labels, found labels (both sorted) and the particles of each pair [true, found]."""
    if len(found) != len(true) or len(true) == 0:
        raise DataError(f"classes: expected as many found as true labels, found {len(found)} and {len(true)}")
    labels, row = np.unique(true, return_inverse=True)
    found_labels, column = np.unique(found, return_inverse=True)
    table = np.zeros((len(labels), len(found_labels)), dtype=np.int64)
    np.add.at(table, (row, column), 1)
    return labels, found_labels, table


def adjusted_rand_index(table: Int[np.ndarray, "k f"]) -> float:
    """(Rand - expected)/(1 - expected) over pairs of particles: 1 best, 0 by chance (Hubert & Arabie 1985)."""
    together, rows, columns = (_pairs(counts) for counts in (table, table.sum(1), table.sum(0)))
    total = _pairs(table.sum(keepdims=True))
    expected = rows * columns / total if total > 0 else 0.0
    most = (rows + columns) / 2
    # both partitions are one class, or both are all singletons: the same partition
    return (together - expected) / (most - expected) if most != expected else 1.0


def adjusted_mutual_information(table: Int[np.ndarray, "k f"]) -> float:
    """(I - E I)/((H + H')/2 - E I), E over random tables of the same margins: 1 best, 0 by chance (Vinh et al. 2010).

    Where neither partition divides anything, they are the same: 1. Where only one does, it knows nothing: 0.
    """
    count = int(table.sum())
    rows, columns = table.sum(1), table.sum(0)
    if len(rows) == 1 or len(columns) == 1:
        return float(len(rows) == len(columns))
    joint = table / count
    known = joint > 0
    information = (joint[known] * np.log(joint[known] / (np.outer(rows, columns) / count**2)[known])).sum()
    entropies = [-(margin / count * np.log(margin / count)).sum() for margin in (rows, columns)]
    expected = expected_mutual_information(rows, columns)
    room = float(np.mean(entropies)) - expected
    # all singletons against all singletons: nothing above chance can be asked, and they are the same
    return float((information - expected) / room) if abs(room) > 1e-12 else 1.0


def expected_mutual_information(rows: Int[np.ndarray, " k"], columns: Int[np.ndarray, " f"]) -> float:
    """Mean mutual information (nats) over all tables of these margins (Vinh et al. 2010, eq. 24a)."""
    from scipy.special import gammaln

    count, total = int(rows.sum()), 0.0
    row_sizes, column_sizes = (np.stack(np.unique(m, return_counts=True), 1).tolist() for m in (rows, columns))
    for a, rows_alike in row_sizes:
        for b, columns_alike in column_sizes:
            both = np.arange(max(1, a + b - count), min(a, b) + 1)
            log_probability = (
                gammaln(a + 1) + gammaln(b + 1) + gammaln(count - a + 1) + gammaln(count - b + 1)
                - gammaln(count + 1) - gammaln(both + 1) - gammaln(a - both + 1) - gammaln(b - both + 1)
                - gammaln(count - a - b + both + 1)
            )  # fmt: skip
            mean = float((both / count * np.log(count * both / (a * b)) * np.exp(log_probability)).sum())
            total += rows_alike * columns_alike * mean
    return total


def _pairs(counts: np.ndarray) -> float:
    return float((counts.astype(np.float64) * (counts - 1) / 2).sum())
