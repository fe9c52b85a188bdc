"""The cryoDRGN of 2020: a coordinate network and poses from images alone, by branch and bound in every pass."""

from hypermol.conformations import VariationalEncoder
from hypermol.engine.gradient import Adam
from hypermol.methods.composition import Composition, Training
from hypermol.methods.search_phases import Continued, Search
from hypermol.objectives import EvidenceLowerBound
from hypermol.poses import SearchedPose
from hypermol.volumes import FourierField

CRYODRGN_BNB = Composition(
    name="cryodrgn-bnb",
    source="Zhong, Bepler, Davis & Berger 2020, ICLR, algorithm 1 and appendices A, B, D",
    volume=FourierField(z_dim=8, hidden=128),
    pose=SearchedPose(pruning="bound", kept=24, linear=True),
    conformation=VariationalEncoder(z_dim=8, hidden=128),
    objective=EvidenceLowerBound(),
    update=Adam(learning_rate=1e-3),
    phases=(
        Training("random poses", passes=1, batch_size=16),
        Search("branch and bound", turns=20, passes=0),
        Continued("larger network", passes=15, hidden=256, cooling=0.4),
    ),
    microbatch=256,
)
