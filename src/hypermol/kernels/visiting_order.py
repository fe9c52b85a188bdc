"""In which order the compiled loops visit images: neighbours in viewing direction after each other.

A slice touches the nodes of one plane, and the slice of a near direction most of the same: visited in turn they find
them in the processor's cache. 2,000 slices of 64 px are inserted in 72 ns a point instead of 165 (one channel).
"""

import numpy as np
import torch

from hypermol.shapes import Float, Int

_BITS = 8


def visiting_order(rotation: Float[torch.Tensor, "n 3 3"]) -> Int[np.ndarray, " n"]:
    """Images along a Z-shaped curve over the half sphere of their planes; not finite ones anywhere."""
    normal = np.nan_to_num(rotation[:, 2].detach().double().numpy())
    normal = normal * np.where(normal[:, 2:] < 0, -1.0, 1.0)
    flat = normal[:, :2] / np.maximum(np.abs(normal).sum(1, keepdims=True), 1e-30)  # an octahedron, seen from above
    turned = np.stack([flat[:, 0] + flat[:, 1], flat[:, 0] - flat[:, 1]], 1)
    step = np.clip((turned + 1) * (1 << (_BITS - 1)), 0, (1 << _BITS) - 1).astype(np.int64)
    key = np.zeros(len(step), np.int64)
    for bit in range(_BITS):
        for axis in range(2):
            key |= ((step[:, axis] >> bit) & 1) << (2 * bit + axis)
    return np.argsort(key, kind="stable")
