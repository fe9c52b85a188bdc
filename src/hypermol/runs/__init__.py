"""The run directory: config.toml, estimates.npz, checkpoints/, volumes/, log.jsonl, metrics.json, report.html."""

from hypermol.runs.atomic import atomic_file, write_text
from hypermol.runs.run import Run, fingerprint

__all__ = ["Run", "atomic_file", "fingerprint", "write_text"]
