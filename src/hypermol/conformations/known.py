"""The conformation known beforehand: of simulated data the true one, so that a pipeline shows the most it can."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from torch import Tensor, nn

from hypermol.errors import ConfigError, DataError
from hypermol.posteriors import Hypotheses
from hypermol.specs import BuildContext, Count, register


@register("conformation", "known")
@dataclasses.dataclass(frozen=True)
class KnownConformation:
    """z of each particle from a file: an .npy of [N, z_dim] finite numbers of about unit spread, in their order."""

    z_dim: Annotated[Count, "dimensions of z"] = 1
    file: Annotated[str, ".npy of [N, z_dim] numbers, in the order of the particles"] = ""

    words = "nothing: z is read from a file"
    z_from = "file"

    def build(self, context: BuildContext) -> nn.Module:
        """The estimator. Raises ConfigError without a file, DataError where it holds something else."""
        if not self.file:
            raise ConfigError("conformation.file: this method is told z; name the .npy file that holds it")
        return KnownConformationEstimator(_read(Path(self.file), context.count, self.z_dim))


class KnownConformationEstimator(nn.Module):
    """Looks z up."""

    known: Tensor

    def __init__(self, known: Tensor) -> None:
        super().__init__()
        self.register_buffer("known", known)

    def forward(self, batch: Any, pose: Hypotheses, draws: Any, rows: dict[str, Tensor]) -> Hypotheses:
        """z [B, 1, d], without a prior: nothing about it is inferred."""
        return Hypotheses(z=self.known[batch.particle.to(self.known.device)][:, None])


def _read(path: Path, count: int, dim: int) -> Tensor:
    try:
        values = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path}: expected an .npy file of z, cannot read it: {error}") from None
    if not isinstance(values, np.ndarray) or values.shape != (count, dim) or not np.isfinite(values).all():
        raise DataError(f"{path}: expected {count} rows of {dim} finite numbers, found shape {np.shape(values)}")
    return torch.from_numpy(values.astype(np.float32))
