"""Inner products of many maps, shell by shell: every pairwise FSC, and that of every mixture of the maps, at once."""

from collections.abc import Iterable

import torch
from torch import Tensor

from hypermol.errors import DataError
from hypermol.metrics.half_shells import half_shells
from hypermol.shapes import Float


def shell_products(
    maps: Iterable[Tensor] | Float[Tensor, "n d d d"], mask: Float[Tensor, "d d d"] | None = None
) -> Float[Tensor, "s n n"]:
    """Σ over a shell of Re(F_i F_j*) for every two maps, shells 0 … D/2 - 1 (float64); ``mask`` multiplies all.

    The FSC of mixtures Σ a_i V_i and Σ b_i V_i is aᵀPb / √(aᵀPa · bᵀPb). Memory: 2 D³ bytes a map (450 MB for
    100 maps at 128 px). Raises DataError where there are no maps, or they differ in box.
    """
    rows: list[Tensor] = []
    order, sizes = torch.empty(0, dtype=torch.long), [0]
    for volume in maps:
        if not rows:
            order, sizes, scale = _by_shell(volume.shape[-1], volume.device)
            shape = volume.shape
        elif volume.shape != shape:
            raise DataError(f"pairwise FSC: expected maps of {tuple(shape)}, found one of {tuple(volume.shape)}")
        values = half_shells(shape[-1], volume.device).transform(volume if mask is None else volume * mask)
        rows.append(torch.view_as_real(values.flatten()[order] * scale.to(volume.dtype)).flatten())
    if not rows:
        raise DataError("pairwise FSC: expected at least one map")
    table = torch.stack(rows)
    return torch.stack([_gram(part) for part in table.split([2 * size for size in sizes], dim=1)])


def pairwise_fsc(products: Float[Tensor, "s n n"]) -> Float[Tensor, "s n n"]:
    """FSC of every two maps per shell from ``shell_products``: -1 to 1, symmetric, shell 0 is 1, an empty shell 0."""
    power = products.diagonal(dim1=-2, dim2=-1)
    norm = (power[:, :, None] * power[:, None, :]).sqrt()
    curves = torch.where(norm > 0, products / norm.clamp(min=torch.finfo(norm.dtype).tiny), torch.zeros_like(norm))
    curves[0] = 1.0
    return curves


def mixed_fsc(
    products: Float[Tensor, "s n n"], first: Float[Tensor, "*m n"], second: Float[Tensor, "*m n"]
) -> Float[Tensor, "*m s"]:
    """FSC of Σ a_i V_i with Σ b_i V_i for rows of weights a, b, from ``shell_products``; shell 0 is 1."""
    a, b = first.to(products), second.to(products)
    cross, power, other = (torch.einsum("...i,sij,...j->...s", x, products, y) for x, y in ((a, b), (a, a), (b, b)))
    norm = (power.clamp(min=0) * other.clamp(min=0)).sqrt()
    curve = torch.where(norm > 0, cross / norm.clamp(min=torch.finfo(norm.dtype).tiny), torch.zeros_like(norm))
    curve[..., 0] = 1.0
    return curve


def _by_shell(box: int, device: torch.device) -> tuple[Tensor, list[int], Tensor]:
    """Points of the half transform sorted by shell, points per shell, and the root of each point's weight."""
    shells = half_shells(box, device)
    inside = torch.nonzero(shells.number < box // 2).squeeze(-1)
    order = inside[torch.argsort(shells.number[inside], stable=True)]
    sizes = torch.bincount(shells.number[order], minlength=box // 2).tolist()
    return order, sizes, shells.weight[order % (box // 2)].sqrt()


def _gram(values: Tensor) -> Tensor:
    """values valuesᵀ in float64, in pieces: thousands of products in float32 at most before the sum is widened."""
    total = values.new_zeros((len(values), len(values)), dtype=torch.float64)
    for piece in values.split(4096, dim=1):
        total += (piece @ piece.T).double()
    return total
