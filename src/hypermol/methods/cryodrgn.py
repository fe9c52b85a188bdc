"""cryoDRGN with known poses: coordinate network and variational encoder."""

from hypermol.conformations import VariationalEncoder
from hypermol.engine.gradient import Adam
from hypermol.methods.composition import Composition, Training
from hypermol.objectives import EvidenceLowerBound
from hypermol.poses import GivenPose
from hypermol.volumes import FourierField

CRYODRGN = Composition(
    name="cryodrgn",
    source="Zhong, Bepler, Davis & Berger 2020, ICLR; Zhong et al. 2021, Nature Methods 18:176",
    volume=FourierField(z_dim=8),
    pose=GivenPose(),
    conformation=VariationalEncoder(z_dim=8),
    objective=EvidenceLowerBound(),
    update=Adam(learning_rate=1e-3),
    phases=(Training("train", passes=20, batch_size=16, cooling=0.4),),
)
