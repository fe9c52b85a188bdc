"""One rigid map as a coordinate network, poses known."""

from hypermol.conformations import NoConformation
from hypermol.engine.gradient import Adam
from hypermol.methods.composition import Composition, Training
from hypermol.objectives import EvidenceLowerBound
from hypermol.poses import GivenPose
from hypermol.volumes import FourierField

NEURAL_HOMOGENEOUS = Composition(
    name="neural-homogeneous",
    source="Zhong et al. 2020, ICLR, section 5.1 (decoder only, poses given)",
    volume=FourierField(z_dim=0),
    pose=GivenPose(),
    conformation=NoConformation(),
    objective=EvidenceLowerBound(),
    update=Adam(learning_rate=1e-4),
    phases=(Training("train", passes=20, batch_size=16),),
)
