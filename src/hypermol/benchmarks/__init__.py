"""Races and their circumstances: ours and peers on the same problem, paired in one run; results as JSON.

problem = find_problem("hinge").at("tiny", seed=0, folder="bench")
problem.simulate()
problem.truth                   # what is known
problem.score("run")            # a run of ours, or an Answer of any program, with the images' own limit beside it
"""

from hypermol.benchmarks.answer import Answer, answer_of
from hypermol.benchmarks.circumstances import circumstances, write_result
from hypermol.benchmarks.given import Given
from hypermol.benchmarks.measure import Cost, measured
from hypermol.benchmarks.molecules import Molecule
from hypermol.benchmarks.outside import find_cryodrgn
from hypermol.benchmarks.problem import PROBLEMS, TIERS, Problem, find_problem
from hypermol.benchmarks.task import Task

__all__ = [
    "PROBLEMS",
    "TIERS",
    "Answer",
    "Cost",
    "Given",
    "Molecule",
    "Problem",
    "Task",
    "answer_of",
    "circumstances",
    "find_cryodrgn",
    "find_problem",
    "measured",
    "write_result",
]
