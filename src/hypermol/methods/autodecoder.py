"""cryoDRGN's decoder with a table of z in place of the encoder, poses known."""

from hypermol.conformations import LatentTable
from hypermol.engine.gradient import Adam
from hypermol.methods.composition import Composition, Training
from hypermol.objectives import EvidenceLowerBound
from hypermol.poses import GivenPose
from hypermol.volumes import FourierField

AUTODECODER = Composition(
    name="autodecoder",
    source="Park et al. 2019, CVPR (DeepSDF), on the decoder of Zhong et al. 2020; as DRGN-AI with fixed poses",
    volume=FourierField(z_dim=8),
    pose=GivenPose(),
    conformation=LatentTable(z_dim=8),
    objective=EvidenceLowerBound(),
    update=Adam(learning_rate=1e-4),
    phases=(Training("train", passes=20, batch_size=16),),
)
