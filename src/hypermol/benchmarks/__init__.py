"""Races and their circumstances: ours and peers on the same problem, paired in one run; results as JSON."""

from hypermol.benchmarks.circumstances import circumstances, write_result
from hypermol.benchmarks.outside import Timed, find_cryodrgn, run_timed

__all__ = ["Timed", "circumstances", "find_cryodrgn", "run_timed", "write_result"]
