"""What a method needs to know of the data before it is built."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor

from hypermol.engine import State
from hypermol.imaging import radial_mean
from hypermol.reconstruction.consensus import consensus
from hypermol.runs import Run
from hypermol.specs import BuildContext

LOOKED_AT = 1000  # particles from which the signal's amplitude is estimated


def build_context(source: Any, seed: int, autocast: bool = False) -> BuildContext:
    """Box, counts, noise and signal amplitude of a source of batches."""
    lattice = source.lattice
    signal, noise = amplitudes(source)
    return BuildContext(
        box=lattice.box,
        pixel_size=source.pixel_size,
        count=source.count,
        points=lattice.size,
        signal_amplitude=signal,
        noise_amplitude=noise,
        seed=seed,
        autocast=autocast,
        consensus=cache(lambda: consensus(source).map) if source.particles.has_poses else None,
        several_images=source.particles.images > source.count,
        examples=lambda count: examples(source, count),
    )


def examples(source: Any, count: int) -> Any:
    """A batch of ``count`` particles at most, spread evenly over a source, on the CPU."""
    chosen = torch.linspace(0, source.count - 1, min(count, source.count)).round().long()
    return source.load(chosen).to("cpu")


def stored_context(run: Run, state: State) -> BuildContext:
    """The same for a run with a state, without its particles: everything that the data gave is in the state."""
    box = int(state.data["box"])
    blank = torch.ones(box // 2)
    return BuildContext(
        box=box,
        pixel_size=float(state.data["pixel_size"]),
        count=int(state.data.get("count", run.config["input"]["count"])),  # of the particles learned from
        points=int(state.data["points"]),
        signal_amplitude=blank,
        noise_amplitude=blank,
        seed=run.config["seed"],
        consensus=lambda: torch.zeros(box, box, box),
    )


def amplitudes(source: Any) -> tuple[Tensor, Tensor]:
    """Root mean squares per shell, [S] each: of the molecule's transform, and of the noise in the same units.

    E|X|² = C² |V|² + σ² over at most 1,000 particles, so |V|² is estimated as (mean |X|² - σ²) / mean C² per shell, and
    the noise is σ² / mean C². |V|² is never taken below a hundredth of that, which is what so many images can tell.
    """
    lattice = source.lattice
    step = max(1, source.count // LOOKED_AT)
    chosen = torch.arange(0, source.count, step)[:LOOKED_AT]
    sums = torch.zeros(3, lattice.band_limit + 1, dtype=torch.float64)
    for part in chosen.split(200):
        batch = source.load(part)
        valid = batch.valid[..., None].double()
        for row, values in enumerate((batch.images.abs().square(), batch.ctf.square(), batch.variance)):
            per_pixel = (values * valid).sum((0, 1)) / valid.sum().clamp(min=1)
            sums[row] += radial_mean(per_pixel.cpu(), lattice.to("cpu")) * (len(part) / len(chosen))
    power, transfer, noise = sums
    transfer = transfer.clamp(min=1e-3)
    signal = (power - noise).clamp(min=1e-2 * noise)
    return (signal / transfer).sqrt().float(), (noise / transfer).sqrt().float()
