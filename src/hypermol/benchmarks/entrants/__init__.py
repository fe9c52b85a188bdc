"""Who takes part in a race: our methods, and the programs of others, each run by its own command line."""

from hypermol.benchmarks.entrants.contract import Entrant, Outcome
from hypermol.benchmarks.entrants.cryodrgn import CRYODRGN_ENTRANTS
from hypermol.benchmarks.entrants.ours import Ours
from hypermol.benchmarks.entrants.recovar import RECOVAR_ENTRANTS
from hypermol.benchmarks.entrants.relion import RELION_ENTRANTS
from hypermol.benchmarks.entrants.roster import ENTRANTS, find_entrant

__all__ = [
    "CRYODRGN_ENTRANTS",
    "ENTRANTS",
    "RECOVAR_ENTRANTS",
    "RELION_ENTRANTS",
    "Entrant",
    "Ours",
    "Outcome",
    "find_entrant",
]
