"""A method rebuilt from its run: z → maps."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hypermol.engine import choose_device
from hypermol.errors import ConfigError
from hypermol.maps import read_map, write_map
from hypermol.methods.context import stored_context
from hypermol.methods.near import NearbyImages
from hypermol.methods.record import finished_state, run_method
from hypermol.runs import Run


@dataclasses.dataclass(frozen=True)
class Trained:
    """A finished method: ``decode(z [n, d] or None)`` gives maps [n, D, D, D] at ``pixel_size`` Å."""

    run: Run
    method: Any
    decode: Callable[[Tensor | None], Tensor]
    pixel_size: float
    box: int

    @property
    def has_latent(self) -> bool:
        """Whether each particle has a z."""
        return (self.run.path / "estimates.npz").exists() and "z" in self.run.estimates()

    def map_of(self, particle: int) -> Tensor:
        """The map [D, D, D] at a particle's z; the one map of a homogeneous method."""
        z = torch.from_numpy(self.latent()[[particle]]).float() if self.has_latent else None
        return self.decode(z)[0].cpu()

    def consensus(self) -> Tensor:
        """The run's own consensus map [D, D, D]; where it has none, that of its first particle."""
        path = self.run.volumes / "consensus.mrc"
        return read_map(path)[0] if path.exists() else self.map_of(0)

    def latent(self) -> np.ndarray:
        """z of each particle, [N, d]. Raises ConfigError for a method without z."""
        estimates = self.run.estimates()
        if "z" not in estimates:
            raise ConfigError(
                f"{self.run.path}: {self.method.name} has no z per particle; its maps are in {self.run.volumes}"
            )
        return estimates["z"]

    def decode_array(self, z: np.ndarray) -> np.ndarray:
        """``decode`` for numpy: [n, d] → [n, D, D, D] float32."""
        return self.decode(torch.as_tensor(z, dtype=torch.float32)).cpu().numpy()

    def write_maps(
        self,
        folder: Path,
        names: Sequence[str],
        z: np.ndarray,
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> None:
        """One .mrc per name at the rows of ``z``. ``progress`` is told (done, all) maps."""
        folder.mkdir(parents=True, exist_ok=True)
        for done, (name, row) in enumerate(zip(names, z, strict=True), start=1):
            volume = self.decode(torch.as_tensor(row[None], dtype=torch.float32))[0]
            write_map(folder / f"{name}.mrc", volume.cpu(), self.pixel_size)
            progress(done, len(names))


def rebuild(run: Run, device: str = "auto", own_maps: bool = False) -> Trained:
    """The decoder of a run, from its newest checkpoint: what its method says maps are made by, or, with ``own_maps``,
    the method's own decoder in any case (``validation`` trains on images that no file holds).

    Raises ConfigError where the run has not finished.
    """
    state = finished_state(run)
    where, _ = choose_device(device)
    method = run_method(run)
    context = stored_context(run, state)
    decode = method.decoder(state.to(where), context)
    trained = Trained(run, method, decode, context.pixel_size, context.box)
    if own_maps or getattr(method, "maps_by", "decoder") == "decoder" or not trained.has_latent:
        return trained
    return _read_from_images(trained)


def _read_from_images(trained: Trained) -> Trained:
    nearby = NearbyImages.of(trained.run)
    return dataclasses.replace(trained, decode=nearby.decode) if nearby.enough else trained
