"""Where a job's state goes: a run folder, or nowhere (tests, notebooks)."""

from __future__ import annotations

import dataclasses
from typing import Any

from hypermol.atomic import remove_unfinished
from hypermol.engine.state import State
from hypermol.runs import Run, checkpoints


@dataclasses.dataclass
class RunStore:
    """State in RUN/checkpoints, log in RUN/log.jsonl; log lines after the last saved state are dropped on resume."""

    run: Run

    def save(self, state: State) -> None:
        """Write the next checkpoint. Raises OSError when it cannot be written; the earlier ones stay."""
        tensors, content = state.to_checkpoint()
        checkpoints.save(self.run.checkpoints, tensors, {**content, "log": self.run.log_size()})

    def latest(self) -> State | None:
        """The newest state, or None for a fresh run."""
        found = checkpoints.load_latest(self.run.checkpoints)
        return State.from_checkpoint(*found) if found else None

    def rewind(self) -> None:
        """Drop what was logged after the newest state, and what a killed writer left half-written."""
        for folder in (self.run.path, self.run.volumes):
            if folder.is_dir():
                remove_unfinished(folder)
        data = checkpoints.latest_data(self.run.checkpoints)
        self.run.truncate_log(data["log"] if data else 0)

    def log(self, row: dict[str, Any]) -> None:
        """Add a line to log.jsonl."""
        self.run.append_log(row)


@dataclasses.dataclass
class MemoryStore:
    """Keeps nothing but the log."""

    rows: list[dict[str, Any]] = dataclasses.field(default_factory=list)

    def save(self, state: State) -> None:
        """Nothing to do."""

    def latest(self) -> State | None:
        """Always a fresh start."""
        return None

    def rewind(self) -> None:
        """Nothing to do."""

    def log(self, row: dict[str, Any]) -> None:
        """Keep the row in memory."""
        self.rows.append(row)
