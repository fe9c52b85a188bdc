"""cryoAI: one rigid map as a FourierNet, poses by an encoder behind a bank of Gaussian filters."""

from hypermol.conformations import WithPose
from hypermol.engine.gradient import Adam
from hypermol.joint import AmortisedEncoder
from hypermol.methods.composition import Composition, Training
from hypermol.objectives import SymmetrisedLikelihood
from hypermol.volumes import FourierNet

CRYOAI = Composition(
    name="cryoai",
    source="Levy, Poitevin, Martel, Nashed, Peck, Miolane, Ratner, Dunne & Wetzstein 2022, ECCV (cryoAI)",
    volume=FourierNet(),
    pose=AmortisedEncoder(z_dim=0, channels=64, filters=5),
    conformation=WithPose(z_dim=0),
    objective=SymmetrisedLikelihood(),
    update=Adam(learning_rate=1e-4),
    phases=(Training("train", passes=100, batch_size=64),),
    microbatch=64,
)
