"""How large the race is."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Size:
    """hinge at SNR 0.1, three layers of ``hidden`` units in both networks, z 8, batch 16.

    ``epochs`` of the long runs; ``lap``: particles of the laps that are timed in turn; ``compared``: particles whose
    maps are held against their own.
    """

    particles: int = 10_000
    box: int = 64
    epochs: int = 10
    hidden: int = 256
    lap: int = 2000
    compared: int = 100

    @property
    def label(self) -> str:
        """The folder name of a race of this size."""
        return f"n{self.particles}-d{self.box}-e{self.epochs}-h{self.hidden}"
