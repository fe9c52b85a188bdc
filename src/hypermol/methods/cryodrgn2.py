"""cryoDRGN2: a coordinate network and poses from images alone, by search every few passes."""

from hypermol.conformations import VariationalEncoder
from hypermol.engine.gradient import Adam
from hypermol.methods.composition import Composition, Training
from hypermol.methods.search_phases import Z_SILENT, Continued, Search
from hypermol.objectives import EvidenceLowerBound
from hypermol.poses import SearchedPose
from hypermol.volumes import FourierField

CRYODRGN2 = Composition(
    name="cryodrgn2",
    source="Zhong, Lerer, Davis & Berger 2021, ICCV (cryoDRGN2)",
    volume=FourierField(z_dim=8, hidden=128, z_weight=0.3),
    pose=SearchedPose(),
    conformation=VariationalEncoder(z_dim=8, hidden=128, upright=True),
    objective=EvidenceLowerBound(misfit=True),
    update=Adam(learning_rate=1e-3),
    phases=(
        Training("random poses", passes=1, batch_size=16, divergence_weight=Z_SILENT),
        Search("consensus search", 12, 0, band_end=0.6, clusters=1, divergence_weight=Z_SILENT),
        Search("search", 3, 5, search_batch=64, band_start=0.6, resets=(1,)),
        Continued("train", passes=30, march_start=0.3, march_end=0.5, cooling=0.4),
    ),
    microbatch=256,
)
