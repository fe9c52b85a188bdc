"""cryoDRGN's decoder with z and poses known: the oracle against which a method that infers z is read."""

from hypermol.conformations.known import KnownConformation
from hypermol.engine.gradient import Adam
from hypermol.methods.composition import Composition, Training
from hypermol.objectives import EvidenceLowerBound
from hypermol.poses import GivenPose
from hypermol.volumes import FourierField

KNOWN_Z = Composition(
    name="known-z",
    source="the decoder of Zhong et al. 2020; as the ground-truth labels of CryoBench (Jeon et al. 2024)",
    volume=FourierField(z_dim=1),
    pose=GivenPose(),
    conformation=KnownConformation(z_dim=1),
    objective=EvidenceLowerBound(),
    update=Adam(learning_rate=1e-3),
    phases=(Training("train", passes=20, batch_size=16, cooling=0.4),),
)
