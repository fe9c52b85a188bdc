"""What a program found, as far as it says: the form in which every program is scored."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from hypermol.benchmarks.given import Given
from hypermol.maps import read_map
from hypermol.runs import Run

if TYPE_CHECKING:
    from hypermol.methods import Trained


@dataclass(frozen=True)
class Answer:
    """N particles, in the order of the file. What a program does not say is None.

    z: [N, d]. classes: class probabilities [N, K]. rotation: [N, 3, 3] and shift: [N, 2] Å, inferred (None where they
    were given). log_likelihood: [N]. maps: numbers of particles [m] → their maps [D, D, D] one by one, as the program
    sees each. consensus: its one map [D, D, D].
    """

    z: np.ndarray | None = None
    classes: np.ndarray | None = None
    rotation: np.ndarray | None = None
    shift: np.ndarray | None = None
    log_likelihood: np.ndarray | None = None
    maps: Callable[[np.ndarray], Iterator[Tensor]] | None = None
    consensus: Tensor | None = None


def answer_of(run: Run, given: Given | None = None) -> Answer:
    """The answer of a finished run of ours. Poses count as inferred only where they were hidden."""
    from hypermol.methods import rebuild

    told = given or Given()
    trained = rebuild(run)
    found = run.estimates() if (run.path / "estimates.npz").exists() else {}
    hidden = not told.pose and "rotation" in found
    consensus = run.volumes / "consensus.mrc"
    return Answer(
        z=found.get("z"),
        classes=found.get("class_probability"),
        rotation=found["rotation"] if hidden else None,
        shift=found.get("shift") if not told.shift else None,
        log_likelihood=found.get("log_likelihood"),
        maps=(lambda particles: _maps(trained, particles)) if trained.has_latent else None,
        consensus=read_map(consensus)[0] if consensus.exists() else _one_map(trained),
    )


def _maps(trained: Trained, particles: np.ndarray) -> Iterator[Tensor]:
    z = torch.from_numpy(trained.latent()[particles]).float()
    for row in z:
        yield trained.decode(row[None])[0].cpu()


def _one_map(trained: Trained) -> Tensor | None:
    return None if trained.has_latent else trained.decode(None)[0].cpu()
