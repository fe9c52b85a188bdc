"""DRGN-AI: an autodecoder whose poses are first searched for, then moved by gradient, as z is."""

from hypermol.conformations import LatentTable
from hypermol.engine.gradient import Adam
from hypermol.methods.composition import Composition, Training
from hypermol.methods.search_phases import Z_SILENT, Continued, Search
from hypermol.objectives import EvidenceLowerBound
from hypermol.poses import SearchedPose
from hypermol.volumes import FourierField

DRGNAI = Composition(
    name="drgnai",
    source="Levy et al. 2024, bioRxiv 2024.05.30.596729; 2025, Nat. Methods (DRGN-AI)",
    volume=FourierField(z_dim=8, hidden=128),
    pose=SearchedPose(),
    conformation=LatentTable(z_dim=8),
    objective=EvidenceLowerBound(misfit=True),
    update=Adam(learning_rate=1e-3),
    phases=(
        Training("random poses", passes=1, batch_size=16, divergence_weight=Z_SILENT),
        Search("consensus search", 12, 0, band_end=0.6, clusters=1, divergence_weight=Z_SILENT),
        Search("search", 4, 0, search_batch=64, band_start=0.6),
        Continued("gradient", passes=30, fresh=False, poses_move=True, march_start=0.3, march_end=0.5, cooling=0.4),
    ),
    microbatch=256,
)
