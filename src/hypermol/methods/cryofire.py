"""cryoFIRE: pose and z by one encoder, a coordinate network in Hartley space, poses first."""

from hypermol.conformations import WithPose
from hypermol.engine.gradient import Adam
from hypermol.joint import AmortisedEncoder
from hypermol.methods.amortised_phases import PosesOnly
from hypermol.methods.composition import Composition, Training
from hypermol.objectives import SymmetrisedLikelihood
from hypermol.volumes import FourierField

CRYOFIRE = Composition(
    name="cryofire",
    source="Levy, Wetzstein, Martel, Poitevin & Zhong 2022, NeurIPS (cryoFIRE)",
    volume=FourierField(z_dim=8, output="hartley"),
    pose=AmortisedEncoder(z_dim=8),
    conformation=WithPose(z_dim=8),
    objective=SymmetrisedLikelihood(),
    update=Adam(learning_rate=1e-4),
    phases=(PosesOnly("poses only", images=1_500_000), Training("poses and z", passes=40, batch_size=128)),
    microbatch=128,
)
