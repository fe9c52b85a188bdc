"""cryoDRGN2: a coordinate network and poses from images alone, by search every few passes."""

from hypermol.conformations import VariationalEncoder
from hypermol.engine.gradient import Adam
from hypermol.methods.composition import Composition, Training
from hypermol.methods.search_phases import Continued, Search
from hypermol.objectives import EvidenceLowerBound
from hypermol.poses import SearchedPose
from hypermol.volumes import FourierField

CRYODRGN2 = Composition(
    name="cryodrgn2",
    source="Zhong, Lerer, Davis & Berger 2021, ICCV (cryoDRGN2)",
    volume=FourierField(z_dim=8, hidden=128),
    pose=SearchedPose(),
    conformation=VariationalEncoder(z_dim=8, hidden=128),
    objective=EvidenceLowerBound(),
    update=Adam(learning_rate=1e-3),
    phases=(
        Training("random poses", passes=1, batch_size=16),
        Search("search", turns=16, passes=1, resets=(3, 6, 9)),
        Continued("train", passes=15, batch_size=16, cooling=0.4),
    ),
    microbatch=256,
)
