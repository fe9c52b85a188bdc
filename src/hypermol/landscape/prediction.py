"""Cross-validated prediction: nearest neighbours, ridge regression, and group means, in arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hypermol.shapes import Float, Int

FOLDS = 5
NEIGHBOURS = 50
RIDGE = 1e-3
QUADRATIC_UP_TO = 16


@dataclass(frozen=True)
class Folds:
    """Fold number 0..4 of each of ``size`` particles."""

    number: Int[np.ndarray, " n"]

    @property
    def size(self) -> int:
        """n."""
        return len(self.number)

    def __iter__(self):  # type: ignore[no-untyped-def]
        """Pairs (train, test) of positions."""
        for fold in np.unique(self.number):
            yield np.flatnonzero(self.number != fold), np.flatnonzero(self.number == fold)


def make_folds(size: int, groups: np.ndarray | None, seed: int) -> Folds:
    """Five folds of equal size, or of whole groups where there are at least 10 (a value common to a group, as the
    defocus of a micrograph, must not be recognised by its neighbours)."""
    random = np.random.default_rng([seed, 3])
    if groups is not None:
        labels, group = np.unique(groups, return_inverse=True)
        if len(labels) >= 2 * FOLDS:
            order = random.permutation(len(labels))
            filled = np.cumsum(np.bincount(group)[order]) - 1
            fold_of = np.empty(len(labels), dtype=np.int64)
            fold_of[order] = np.minimum(filled * FOLDS // size, FOLDS - 1)
            if len(np.unique(fold_of)) == FOLDS:
                return Folds(fold_of[group])
    return Folds(random.permutation(np.arange(size) % FOLDS))


@dataclass(frozen=True)
class Predictors:
    """For one fold: the neighbours of each test particle, and the two halves of the ridge regression.

    They depend on the features only, so one preparation serves all targets and their permutations.
    """

    train: Int[np.ndarray, " n"]
    test: Int[np.ndarray, " m"]
    neighbours: Int[np.ndarray, "m k"]
    known: Float[np.ndarray, "n p"]
    solved: Float[np.ndarray, "m p"]

    def guesses(self, targets: Float[np.ndarray, "a f"]) -> tuple[np.ndarray, np.ndarray]:
        """Predicted ``targets`` of the test particles: the mean of their neighbours, and by ridge regression."""
        train = targets[self.train]
        centre = train.mean(axis=0)
        return train[self.neighbours].mean(axis=1), centre + self.solved @ (self.known.T @ (train - centre))


def prepare(features: Float[np.ndarray, "a c"], folds: Folds) -> list[Predictors]:
    """The predictors of each fold: the 50 nearest neighbours in ``features``, and ridge regression on the features,
    their squares and products."""
    return [_prepare_fold(features, train, test) for train, test in folds]


def prediction_scores(predictors: list[Predictors], targets: list[Float[np.ndarray, "a f"]]) -> tuple[float, float]:
    """Cross-validated R² of the best predictor of the best target, and its standard error over the folds.

    The best of several is taken for permuted targets too, so that the comparison is fair.
    """
    width = np.cumsum([target.shape[1] for target in targets])[:-1]
    stacked = np.concatenate(targets, axis=1)
    scores = []
    for fold in predictors:
        truth = stacked[fold.test]
        spread = np.split((truth - stacked[fold.train].mean(axis=0)) ** 2, width, axis=1)
        errors = [np.split((truth - guess) ** 2, width, axis=1) for guess in fold.guesses(stacked)]
        scores.append(
            [1.0 - part.sum() / max(whole.sum(), 1e-300) for error in errors for part, whole in zip(error, spread)]
        )
    table = np.array(scores)
    best = table[:, np.argmax(table.mean(axis=0))]
    return float(best.mean()), float(best.std(ddof=1) / np.sqrt(len(best)))


def group_score(values: Float[np.ndarray, "n c"], group: Int[np.ndarray, " n"], folds: Folds) -> tuple[float, float]:
    """Cross-validated R² of predicting ``values`` by the mean of the other particles of the same group.

    Group means are shrunk towards the overall mean by the variance within and between groups (empirical Bayes,
    Efron & Morris 1975), so that groups of few particles do not predict noise.
    """
    scores = []
    for train, test in folds:
        mean = values[train].mean(axis=0)
        count = np.bincount(group[train], minlength=group.max() + 1).astype(float)
        total = np.stack([np.bincount(group[train], column, len(count)) for column in (values[train] - mean).T], 1)
        offset = total / np.maximum(count, 1.0)[:, None]
        shrink = _shrinkage(values[train] - mean - offset[group[train]], offset, count)
        guess = mean + (shrink[:, None] * offset)[group[test]]
        whole = ((values[test] - mean) ** 2).sum()
        scores.append(1.0 - ((values[test] - guess) ** 2).sum() / max(whole, 1e-300))
    return float(np.mean(scores)), float(np.std(scores, ddof=1) / np.sqrt(len(scores)))


def _shrinkage(
    within: Float[np.ndarray, "n c"], offset: Float[np.ndarray, "g c"], count: Float[np.ndarray, " g"]
) -> Float[np.ndarray, " g"]:
    """n_g / (n_g + σ²_within/σ²_between), the variances by the analysis of variance (method of moments)."""
    groups = int((count > 0).sum())
    variance = (within**2).sum() / max(len(within) - groups, 1)
    between = (count[:, None] * offset**2).sum() / max(groups - 1, 1)
    effective = (count.sum() - (count**2).sum() / count.sum()) / max(groups - 1, 1)
    spread = max((between - variance) / max(effective, 1e-12), 0.0)
    if spread == 0.0:
        return np.zeros_like(count)
    return count / (count + variance / spread)


def _prepare_fold(
    features: Float[np.ndarray, "a c"], train: Int[np.ndarray, " n"], test: Int[np.ndarray, " m"]
) -> Predictors:
    from scipy.spatial import cKDTree

    near = max(1, min(NEIGHBOURS, len(train) // 10))
    neighbours = cKDTree(features[train]).query(features[test], k=range(1, near + 1), workers=-1)[1]
    known, asked = _with_products(features[train]), _with_products(features[test])
    mean, scale = known.mean(axis=0), known.std(axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    known, asked = (known - mean) / scale, (asked - mean) / scale
    penalised = known.T @ known + RIDGE * len(train) * np.eye(known.shape[1])
    return Predictors(train, test, neighbours, known, np.linalg.solve(penalised, asked.T).T)


def _with_products(features: Float[np.ndarray, "n c"]) -> Float[np.ndarray, "n p"]:
    columns = features.shape[1]
    if columns > QUADRATIC_UP_TO:
        return features
    first, second = np.triu_indices(columns)
    return np.concatenate([features, features[:, first] * features[:, second]], axis=1)
