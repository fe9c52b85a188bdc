"""The run directory: config.toml, estimates.npz, checkpoints/, volumes/, log.jsonl, metrics.json, report.html."""

from hypermol.atomic import atomic_file, write_text
from hypermol.runs.figures import in_words
from hypermol.runs.occupied import occupied
from hypermol.runs.run import WARNING, Run, fingerprint, refuse_existing

__all__ = ["WARNING", "Run", "atomic_file", "fingerprint", "in_words", "occupied", "refuse_existing", "write_text"]
