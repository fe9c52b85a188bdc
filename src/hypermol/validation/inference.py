"""A trained piece looks at other particles: the same particle then has a z from each half's model."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hypermol.engine import Clock, Draws, Loop, MemoryStore, Program, RunStore, State, choose_device, install
from hypermol.errors import ConfigError
from hypermol.methods import Conduct, run_method
from hypermol.methods.context import build_context, stored_context
from hypermol.methods.z_refinement import ELBO_SAMPLES, Posterior, evidence_bound, refine
from hypermol.particles import ImageSource
from hypermol.runs import Run
from hypermol.validation.pieces import Whole, half_source

BATCH = 256
POINTS = 1 << 18
"""Fourier pixels of a batch: decoders hold some hundreds of numbers for each."""

TABLE_STEPS = 60
"""Gradient steps per particle for a method that keeps a table of z and has no encoder."""

Progress = Callable[[int, int], None]


@dataclasses.dataclass(frozen=True)
class Frozen:
    """A finished piece ready to look at particles: its model with its parameters, in evaluation mode."""

    run: Run
    model: Any
    method: Any
    has_encoder: bool

    def posterior(self, batch: Any, first: bool = False) -> Posterior:
        """q(z | images) of a batch: the encoder's, or for a table the maximum a posteriori by gradient."""
        pose = self.model.pose(batch, _draws(batch), {})
        if not self.has_encoder:
            return refine(self.model, batch, None, steps=TABLE_STEPS)
        with torch.no_grad():
            found = self.model.conformation(batch, pose, _draws(batch), {})
        variance = None if found.z_covariance is None else found.z_covariance[:, 0].diagonal(dim1=-2, dim2=-1)
        return Posterior(found.z[:, 0], variance)


def transferable(method: Any) -> bool:
    """Whether a method's parts can be taken one by one and applied to particles that they were not trained on."""
    known = getattr(method, "conformation", None)
    return hasattr(method, "model") and getattr(known, "z_dim", 0) > 0 and not told(method)


def told(method: Any) -> bool:
    """Whether a method is told z, so that it infers none."""
    return _z_from(method) == "file"


def _z_from(method: Any) -> str:
    """``z_from`` of its conformation (see ``hypermol.conformations``)."""
    return getattr(getattr(method, "conformation", None), "z_from", "encoder")


def frozen(run: Run, conduct: Conduct) -> Frozen:
    """The model of a finished piece. Raises ConfigError for a method without z, or whose parts cannot be taken."""
    method = run_method(run)
    if not transferable(method):
        raise ConfigError(f"{run.path}: {method.name} cannot be applied to particles that it was not trained on")
    device, _ = choose_device(conduct.device)
    state = RunStore(run).latest()
    if state is None:
        raise ConfigError(f"{run.path} has no checkpoint; remove it and validate again")
    model = install(method.model(stored_context(run, state)), state).to(device).eval().requires_grad_(False)
    return Frozen(run, model, method, _z_from(method) == "encoder")


def applicable(method: Any) -> bool:
    """Whether z of unseen particles can be had: by the method's parts, or by a last phase that only reads z off."""
    return transferable(method) or (not hasattr(method, "model") and getattr(method, "z_dim", 0) > 0)


def look_at_half(run: Run, whole: Whole, conduct: Conduct) -> dict[str, np.ndarray]:
    """z (and variance, where there is one) of all particles of the other half by a half's model."""
    other = 1 - int(run.config["input"]["half"])
    if not transferable(run_method(run)):
        return _last_phase(run, half_source(whole, other, conduct), conduct)

    def progress(done: int, total: int) -> None:
        conduct.report({"event": "step", "text": "particles", "done": done, "total": total})

    return look(frozen(run, conduct), half_source(whole, other, conduct), progress=progress)


def _last_phase(run: Run, source: ImageSource, conduct: Conduct) -> dict[str, np.ndarray]:
    """The last phase of a method, which reads off what was inferred, from its final state on other particles."""
    state = RunStore(run).latest()
    if state is None:
        raise ConfigError(f"{run.path} has no checkpoint; remove it and validate again")
    device, _ = choose_device(conduct.device)
    method, seed = run_method(run), int(run.config["seed"])
    phase = method.program(build_context(source, seed)).phases[-1]
    begun = State(state.tensors, {}, state.data, Clock())
    program = Program(lambda: begun, (phase,))
    loop = Loop(program, source, MemoryStore(), seed=seed, device=device, microbatch=method.microbatch)
    return {"z": loop.run().table["z"].cpu().numpy()}


def look(
    model: Frozen, source: Any, bound: bool = False, progress: Progress = lambda done, total: None
) -> dict[str, np.ndarray]:
    """What a frozen model infers of every particle of a source, in its order.

    z [N, d]; variance [N, d] (absent where there is no posterior); with ``bound`` also, in nats, elbo [N]: the mean of
    log p(images | z) over the posterior (``ELBO_SAMPLES`` draws) less the divergence from N(0, 1); at_mean [N]: log p
    at z.
    """
    found: dict[str, list[Tensor]] = {}
    done = 0
    for batch in batches(source):
        posterior = model.posterior(batch)
        rows = {"z": posterior.mean}
        if bound:
            rows |= evidence_bound(model.model, batch, posterior, ELBO_SAMPLES)
        if posterior.variance is not None:
            rows["variance"] = posterior.variance
        for name, values in rows.items():
            found.setdefault(name, []).append(values.detach().cpu())
        done += batch.size
        progress(done, source.count)
    return {name: torch.cat(values).numpy() for name, values in found.items()}


def batches(source: Any, count: int | None = None) -> Iterator[Any]:
    """Whole batches in the source's order; the first ``count`` particles (evenly spread) where given."""
    order = torch.arange(source.count)
    if count is not None and count < source.count:
        order = torch.linspace(0, source.count - 1, count).round().long().unique()
    size = max(1, min(BATCH, POINTS // source.lattice.size))
    yield from source.stream(order.split(size))


def _draws(batch: Any) -> Draws:
    return Draws(0, (0, 0, int(batch.particle[0])), batch.size, 0, batch.size, batch.images.device)
