"""The one loop: phases, contributions, updates; devices, several processes, checkpoints and resuming."""

from hypermol.engine.contracts import Contribution, Deposit, Phase, Program, Source, Step, Store, Totals
from hypermol.engine.devices import choose_device, choose_precision
from hypermol.engine.draws import Draws, generator
from hypermol.engine.gradient import Adam, GradientStep, Outcome, initial_tensors, install
from hypermol.engine.loop import InterruptedRun, Loop
from hypermol.engine.processes import Processes
from hypermol.engine.signals import stop_on_signals
from hypermol.engine.state import Clock, State
from hypermol.engine.store import MemoryStore, RunStore

__all__ = [
    "Adam",
    "Clock",
    "Contribution",
    "Deposit",
    "Draws",
    "GradientStep",
    "InterruptedRun",
    "Loop",
    "MemoryStore",
    "Outcome",
    "Phase",
    "Processes",
    "Program",
    "RunStore",
    "Source",
    "State",
    "Step",
    "Store",
    "Totals",
    "choose_device",
    "choose_precision",
    "generator",
    "initial_tensors",
    "install",
    "stop_on_signals",
]
