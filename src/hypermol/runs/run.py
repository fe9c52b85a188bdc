"""The run folder: what a finished or interrupted job is on disk (format 1)."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hypermol.arrays import read_npz
from hypermol.atomic import is_unfinished, remove_unfinished, write_text, write_with
from hypermol.errors import ConfigError, DataError
from hypermol.plain import plain, read_json
from hypermol.runs.occupied import MARK
from hypermol.shell import quoted

FORMAT = 1
WARNING = "warning: "
"""How a note of the log begins that the report must show."""
LARGE_BYTES, END_BYTES = 1 << 30, 1 << 20


@dataclasses.dataclass(frozen=True)
class Run:
    """A run folder. Every write is atomic; nothing in it is a pickle."""

    path: Path

    @classmethod
    def create(cls, path: Path | str, config: Mapping[str, Any]) -> Run:
        """Start a new run with its configuration (plain nested data).

        Raises ConfigError as ``refuse_existing`` does.
        """
        path = Path(path)
        refuse_existing(path)
        path.mkdir(parents=True, exist_ok=True)
        remove_unfinished(path)
        run = cls(path)
        run.rewrite_config({"format": FORMAT, **config})
        return run

    def remove_unbegun(self) -> None:
        """Take the folder of a job that was refused before it saved anything away again, so that its name is free; one
        that holds anything else stays."""
        kept = {"config.toml", "log.jsonl", MARK}
        if all(entry.name in kept for entry in self.path.iterdir()):
            for entry in list(self.path.iterdir()):
                entry.unlink()
            self.path.rmdir()

    @classmethod
    def open(cls, path: Path | str) -> Run:
        """An existing run. Raises ConfigError when the folder is none, DataError when config.toml is bad or newer."""
        path = Path(path)
        if not (path / "config.toml").is_file():
            raise ConfigError(f"{path} is not a run folder (it has no config.toml); `hypermol train` makes one")
        run = cls(path)
        try:
            found = run.config.get("format")
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise DataError(f"{path / 'config.toml'}: not a TOML file ({error})") from None
        if not isinstance(found, int):
            raise DataError(
                f"{path / 'config.toml'}: expected format = {FORMAT}, found {found!r}; is this a run of ours?"
            )
        if found > FORMAT:
            raise DataError(
                f"{path}: run format {found} is newer than this hypermol (format {FORMAT}); update hypermol"
            )
        return run

    def rewrite_config(self, config: Mapping[str, Any]) -> None:
        """Replace config.toml, whole or not at all."""
        import tomli_w

        write_text(self.path / "config.toml", tomli_w.dumps(dict(config)))

    @property
    def config(self) -> dict[str, Any]:
        """The whole config.toml."""
        return tomllib.loads((self.path / "config.toml").read_text(encoding="utf-8"))

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def volumes(self) -> Path:
        return self.path / "volumes"

    @property
    def landscape(self) -> Path:
        return self.path / "landscape"

    @property
    def finished(self) -> bool:
        """True once the job has written its results."""
        return any(row.get("event") == "finished" for row in self.log())

    def append_log(self, row: Mapping[str, Any]) -> None:
        """Add one line to log.jsonl."""
        with (self.path / "log.jsonl").open("a") as stream:
            stream.write(json.dumps(plain(row)) + "\n")

    def log_size(self) -> int:
        """Bytes in log.jsonl: saved with a checkpoint, so that a resumed run drops what came after it."""
        path = self.path / "log.jsonl"
        return path.stat().st_size if path.exists() else 0

    def truncate_log(self, size: int) -> None:
        """Drop log lines written after the checkpoint that is being resumed."""
        path = self.path / "log.jsonl"
        if path.exists() and path.stat().st_size > size:
            kept = path.read_bytes()[:size]
            write_with(path, lambda stream: stream.write(kept))

    def log(self) -> list[dict[str, Any]]:
        """All rows of log.jsonl, an unfinished last line left out."""
        path = self.path / "log.jsonl"
        rows = []
        for line in path.read_text().splitlines() if path.exists() else []:
            try:
                rows.append(json.loads(line))
            except json.JSONDecodeError:
                continue
        return rows

    def save_estimates(self, estimates: Mapping[str, np.ndarray]) -> None:
        """Write estimates.npz (keys and shapes: DESIGN, On disk)."""
        arrays: dict[str, Any] = dict(estimates)
        write_with(self.path / "estimates.npz", lambda stream: np.savez(stream, **arrays))

    def estimates(self) -> dict[str, np.ndarray]:
        """What was inferred per particle, in the input's order.

        Raises ConfigError where nothing was, DataError where the file cannot be read.
        """
        path = self.path / "estimates.npz"
        if not path.exists():
            raise ConfigError(
                f"{self.path} has no estimates.npz: "
                + (
                    "its method infers nothing per particle; `hypermol methods` says which do"
                    if self.finished
                    else f"it has not finished; continue it with `hypermol train --resume {quoted(self.path)}`"
                )
            )
        return read_npz(path, self._write_again)

    def save_curves(self, curves: Mapping[str, np.ndarray]) -> None:
        """Write volumes/curves.npz: FSC per shell by name."""
        arrays: dict[str, Any] = dict(curves)
        write_with(self.volumes / "curves.npz", lambda stream: np.savez(stream, **arrays))

    def curves(self) -> dict[str, np.ndarray]:
        """FSC per shell by name (empty where none were computed). Raises DataError where they cannot be read."""
        path = self.volumes / "curves.npz"
        return read_npz(path, self._write_again) if path.exists() else {}

    def save_matrices(self, matrices: Mapping[str, np.ndarray]) -> None:
        """Add to matrices.npz: name → [n, n], how alike every two of the run's conformations are ("fsccc"), and the
        true ones at the same shares of the particles ("fsccc_true")."""
        arrays: dict[str, Any] = {**self.matrices(), **matrices}
        write_with(self.path / "matrices.npz", lambda stream: np.savez(stream, **arrays))

    def matrices(self) -> dict[str, np.ndarray]:
        """What ``save_matrices`` wrote; empty where nothing was. Raises DataError where it cannot be read."""
        path = self.path / "matrices.npz"
        return read_npz(path, self._write_again) if path.exists() else {}

    def save_metrics(self, metrics: Mapping[str, Any]) -> None:
        """Add figures to metrics.json: name → {"value", "unit", "how"}."""
        write_text(self.path / "metrics.json", json.dumps(plain({**self.metrics(), **metrics}), indent=1))

    def metrics(self) -> dict[str, Any]:
        """The figures of metrics.json (empty where none were computed). Raises DataError where it cannot be read."""
        path = self.path / "metrics.json"
        return read_json(path, f"remove it; {self._write_again}") if path.exists() else {}

    @property
    def _write_again(self) -> str:
        """What to do where a result is damaged: it follows from the newest checkpoint."""
        first = 'take the row "finished" out of its log.jsonl, and ' if self.finished else ""
        return f"{first}`hypermol train --resume {quoted(self.path)}` writes it again"


def refuse_existing(path: Path | str) -> None:
    """Raises ConfigError where no new run can be made: the folder already holds something (more than what a kill
    during ``Run.create`` leaves), or cannot be made at all."""
    path = Path(path)
    if path.is_dir() and (path / "config.toml").exists():
        raise ConfigError(
            f"{path} already exists; continue it with `--resume {quoted(path)}`, or give another folder with -o"
        )
    if path.exists() and (not path.is_dir() or any(not is_unfinished(entry) for entry in path.iterdir())):
        raise ConfigError(f"{path} already exists and is not a run folder; give another folder with -o")
    parent = next(folder for folder in (path, *path.absolute().parents) if folder.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
        reason = "may not be written to" if parent.is_dir() else "is a file"
        raise ConfigError(f"{path}: no folder can be made there, since {parent} {reason}; give another folder with -o")


def fingerprint(*paths: Path) -> str:
    """SHA-256 of the particle files of a run: resumed, it must see the particles it started with.

    Of a file too large to be read for this (a stack), the size and both ends count.
    """
    digest = hashlib.sha256()
    for path in paths:
        with Path(path).open("rb") as stream:
            size = stream.seek(0, os.SEEK_END)
            digest.update(size.to_bytes(8, "little"))
            ends = (0, size - END_BYTES) if size > LARGE_BYTES else (0,)
            for start in ends:
                stream.seek(start)
                digest.update(hashlib.sha256(stream.read(END_BYTES if len(ends) > 1 else -1)).digest())
    return digest.hexdigest()
