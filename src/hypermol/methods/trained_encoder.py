"""A trained encoder looks at images that its run has never seen: pose and z without a search and without a table."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from torch import Tensor

from hypermol.engine import Draws, State, choose_device
from hypermol.errors import ConfigError
from hypermol.methods.context import stored_context
from hypermol.methods.field_search import called
from hypermol.methods.reading import POSE, looked_at
from hypermol.methods.record import finished_state, run_method
from hypermol.posteriors import Hypotheses
from hypermol.runs import Run
from hypermol.specs import BuildContext

ESTIMATES = (*POSE, "z", "z_covariance", "log_likelihood")


@dataclasses.dataclass(frozen=True)
class TrainedEncoder:
    """A finished run whose encoder answers for any image of the same box and pixel size.

    ``model``: of the method's last phase; ``state``: its parameters, and no table.
    """

    run: Run
    method: Any
    model: Any
    state: State
    context: BuildContext

    def look(self, batch: Any) -> dict[str, Tensor]:
        """rotation [B, 3, 3], shift [B, 2] Å, z [B, d] (with z_covariance where it has a posterior), log_likelihood
        [B] (up to a constant) of the likeliest copy. Raises ConfigError for images of another box."""
        if batch.lattice.box != self.context.box:
            raise ConfigError(
                f"{self.run.path} was trained on images of {self.context.box} px; these have {batch.lattice.box} px"
            )
        draws = Draws(0, (0, 0, 0), batch.size, 0, batch.size, batch.images.device)
        outcome = looked_at(self.model, self.state, batch, draws)
        return {name: row for name, row in outcome.rows.items() if name in ESTIMATES}

    def answers(self, batch: Any) -> Hypotheses:
        """All that the encoder offers, of every copy and head: no volume is asked which of them is right."""
        draws = Draws(0, (0, 0, 0), batch.size, 0, batch.size, batch.images.device)
        with torch.no_grad():
            found: Hypotheses = called(self.model.pose, self.state, "pose.")(batch, draws, {})
        return found

    def look_at_all(self, source: Any, batch_size: int = 256) -> dict[str, Tensor]:
        """The same of every particle of a source (``particles.ImageSource``), in its order, on the CPU."""
        found: dict[str, list[Tensor]] = {}
        for batch in source.stream(torch.arange(source.count).split(batch_size)):
            for name, row in self.look(batch).items():
                found.setdefault(name, []).append(row.cpu())
        return {name: torch.cat(rows) for name, rows in found.items()}


def trained_encoder(run: Run, device: str = "auto") -> TrainedEncoder:
    """The encoder of a finished run. Raises ConfigError where it has not finished, or its method has no encoder of
    poses (``joint.AmortisedEncoder``)."""
    state = finished_state(run)
    method = run_method(run)
    if getattr(getattr(method, "pose", None), "kind", "") not in ("encoder", "polished-encoder"):
        raise ConfigError(
            f"{run.path}: {method.name} has no encoder of poses, so that it cannot look at images it has not seen; "
            "cryofire, cryoai and cryoposenet have"
        )
    context = stored_context(run, state)
    where, _ = choose_device(device)
    tensors = {name: tensor.to(where) for name, tensor in state.tensors.items()}
    return TrainedEncoder(run, method, method.final.model(context), State(tensors, {}, state.data), context)
