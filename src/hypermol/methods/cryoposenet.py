"""CryoPoseNet: one rigid map as a voxel grid in real space, poses by an encoder of the image alone."""

from hypermol.conformations import WithPose
from hypermol.engine.gradient import Adam
from hypermol.joint import AmortisedEncoder
from hypermol.methods.composition import Composition, Training
from hypermol.objectives import SymmetrisedLikelihood
from hypermol.volumes import VoxelGrid

CRYOPOSENET = Composition(
    name="cryoposenet",
    source="Nashed, Poitevin, Gupta, Woollard, Kagan, Yoon & Ratner 2021, ICCV Workshops (CryoPoseNet)",
    volume=VoxelGrid(z_dim=0, space="real"),
    pose=AmortisedEncoder(z_dim=0, copies="one", shifts=False),
    conformation=WithPose(z_dim=0),
    objective=SymmetrisedLikelihood(),
    update=Adam(learning_rate=1e-4),
    phases=(Training("train", passes=100, batch_size=64),),
    microbatch=64,
)
