"""An encoder first, a local search last: the speed of amortised inference without its error. Ours."""

from hypermol.conformations import WithPose
from hypermol.engine.gradient import Adam
from hypermol.joint import PolishedEncoder
from hypermol.methods.amortised_phases import PosesOnly
from hypermol.methods.composition import Composition, Training
from hypermol.methods.polishing import LocalSearch, Polish
from hypermol.objectives import SymmetrisedLikelihood
from hypermol.volumes import FourierField

HYBRID = Composition(
    name="hybrid",
    source="hypermol's own: the encoder of Levy et al. 2022 (cryoFIRE), then the local search that it asks for",
    volume=FourierField(z_dim=8, output="hartley"),
    pose=PolishedEncoder(z_dim=8),
    conformation=WithPose(z_dim=8),
    objective=SymmetrisedLikelihood(),
    update=Adam(learning_rate=1e-4),
    phases=(
        PosesOnly("poses only", images=1_500_000),
        Training("poses and z", passes=30, batch_size=128),
        LocalSearch("local search", passes=1, batch_size=128),
        Polish("polish", passes=5, batch_size=128, cooling=0.4),
    ),
    microbatch=128,
)
