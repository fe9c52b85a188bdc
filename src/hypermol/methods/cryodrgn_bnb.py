"""The cryoDRGN of 2020: a coordinate network and poses from images alone, by branch and bound in every pass."""

from hypermol.conformations import VariationalEncoder
from hypermol.engine.gradient import Adam
from hypermol.methods.composition import Composition, Training
from hypermol.methods.search_phases import Z_SILENT, Continued, Search
from hypermol.objectives import EvidenceLowerBound
from hypermol.poses import SearchedPose
from hypermol.volumes import FourierField

CRYODRGN_BNB = Composition(
    name="cryodrgn-bnb",
    source="Zhong, Bepler, Davis & Berger 2020, ICLR, algorithm 1 and appendices A, B, D",
    volume=FourierField(z_dim=8, hidden=128, z_weight=0.3),
    pose=SearchedPose(pruning="bound", kept=24, linear=True),
    conformation=VariationalEncoder(z_dim=8, hidden=128, upright=True),
    objective=EvidenceLowerBound(misfit=True),
    update=Adam(learning_rate=1e-3),
    phases=(
        Training("random poses", passes=1, batch_size=16, divergence_weight=Z_SILENT),
        Search("consensus, branch and bound", 12, 0, band_end=0.6, clusters=1, divergence_weight=Z_SILENT),
        Search("branch and bound", 4, 0, search_batch=64, band_start=0.6),
        Continued("larger network", passes=30, hidden=256, march_start=0.3, march_end=0.5, cooling=0.4),
    ),
    microbatch=256,
)
