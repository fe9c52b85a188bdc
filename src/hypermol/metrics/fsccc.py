"""FSC across conformations: how alike are any two maps of a family (Gupta, Phan, Yoo & Unser 2020, Multi-CryoGAN)."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from hypermol.errors import DataError
from hypermol.metrics.shell_products import pairwise_fsc, shell_products
from hypermol.shapes import Float


def fsccc(
    maps: Iterable[Tensor] | Float[Tensor, "n d d d"], mask: Float[Tensor, "d d d"] | None = None
) -> Float[Tensor, "n n"]:
    """Area under the FSC of every two maps (eq. 7), as the mean over shells 1 … D/2 - 1: 1 means equal (float64).

    Symmetric, -1 to 1. All ones: every map is the same, nothing moves. Raises DataError where there are no maps.
    """
    return pairwise_fsc(shell_products(maps, mask))[1:].mean(0)


@dataclass(frozen=True)
class MatrixDistance:
    """Root mean square difference of two FSCCC matrices off their diagonal (0: the truth), beside that of all ones.

    ``share`` = found / all ones: 0 is the truth, 1 no better than a family in which nothing moves, above 1 worse;
    not a number where the truth itself does not move.
    """

    found: float
    all_ones: float

    @property
    def share(self) -> float:
        return self.found / self.all_ones if self.all_ones > 0 else float("nan")


def fsccc_distance(found: Float[Tensor, "n n"], true: Float[Tensor, "n n"]) -> MatrixDistance:
    """How far the matrix of recovered maps is from that of the true maps of the same conformations, row by row.

    Raises DataError for matrices of different sizes, or of fewer than two maps.
    """
    if found.shape != true.shape or len(true) < 2:
        sizes = f"{tuple(found.shape)} and {tuple(true.shape)}"
        raise DataError(f"FSCCC: expected two matrices of the same two or more maps, found {sizes}")
    apart = ~torch.eye(len(true), dtype=torch.bool, device=true.device)

    def distance(matrix: Tensor) -> float:
        return float((matrix - true)[apart].double().square().mean().sqrt())

    return MatrixDistance(distance(found), distance(torch.ones_like(true)))


def shares_of_ends(matrix: Float[Tensor, "n n"]) -> tuple[float, float, float]:
    """Shares of maps along a path that are like its first map, like its last, and like neither or both.

    The paper calls a map like an end where the area with that end is above a half and with the other below (section
    5.2). At low resolution all areas are above a half; so the half is taken between 1 and the area of the two ends:
    (1 + M[0, n]) / 2. Maps that are all the same are like both. Raises DataError for fewer than two maps.
    """
    if len(matrix) < 2:
        raise DataError(f"FSCCC: expected two or more maps, found {len(matrix)}")
    between = (1 + float(matrix[0, -1])) / 2
    like_first, like_last = matrix[0] > between, matrix[-1] > between
    first, last = (like_first & ~like_last).double().mean(), (like_last & ~like_first).double().mean()
    return float(first), float(last), float(1 - first - last)
