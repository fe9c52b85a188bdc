"""The conformation of no particle: z drawn from its prior, and the values at which a family is looked at."""

from __future__ import annotations

import dataclasses
import math
from typing import Annotated, Any, Literal

import torch
from torch import Tensor, nn

from hypermol.posteriors import Hypotheses
from hypermol.shapes import Float
from hypermol.specs import BuildContext, Count, register

Distribution = Literal["even", "normal"]


@register("conformation", "drawn")
@dataclasses.dataclass(frozen=True)
class DrawnConformation:
    """z from a prior, the same for ``shared`` images in a row: maps are dear and their projections cheap.

    ``even``: between 0 and 1, the segment of Gupta et al. 2020 (Multi-CryoGAN), section 5; ``normal``: N(0, 1).
    """

    z_dim: Annotated[Count, "dimensions of z"] = 1
    distribution: Annotated[Distribution, "even between 0 and 1 as in the paper, or normal"] = "even"
    shared: Annotated[Count, "images in a row that show one conformation"] = 8
    spread: Annotated[
        bool,
        "the z of a batch lie at even steps from a random beginning, so that its shares of states do not fluctuate; "
        "off: each drawn by itself, as in the paper",
    ] = True

    words = "nothing: z is drawn"
    z_from = "prior"

    def build(self, context: BuildContext) -> nn.Module:
        """The prior to draw from."""
        return ConformationPrior(self.z_dim, self.distribution, self.shared, self.spread)

    def along(self, count: int) -> Float[Tensor, "n d"]:
        """``count`` z by which the family is shown: of one dimension in order, with the same probability between every
        two (an even z from end to end, a normal one at the middles of equal shares); of more, draws of a fixed seed."""
        if self.z_dim > 1:
            draw = torch.Generator().manual_seed(0)
            shape = (count, self.z_dim)
            even = self.distribution == "even"
            return torch.rand(shape, generator=draw) if even else torch.randn(shape, generator=draw)
        if self.distribution == "even":
            return torch.linspace(0, 1, count)[:, None]
        share = (torch.arange(count, dtype=torch.float64) + 0.5) / count
        return (math.sqrt(2) * torch.erfinv(2 * share - 1)).float()[:, None]


class ConformationPrior(nn.Module):
    """Draws z for the particles of a batch."""

    def __init__(self, z_dim: int, distribution: Distribution, shared: int, spread: bool) -> None:
        super().__init__()
        self.z_dim, self.distribution, self.shared, self.spread = z_dim, distribution, shared, spread

    def forward(self, batch: Any, pose: Hypotheses, draws: Any, rows: dict[str, Tensor]) -> Hypotheses:
        """z [B, 1, d]. Which images share one depends on their places in the whole batch, not on who computes them."""
        count = -(-draws.total // self.shared)
        if self.spread:  # in random order: processes have batches in parts
            z = self.evenly(count, draws, "z")[draws.shared_normal("z, order", count).argsort()]
        else:
            z = self._each(count, draws)
        place = torch.arange(draws.start, draws.stop, device=z.device) * count // draws.total
        return Hypotheses(z=z[place][:, None])

    def _each(self, count: int, draws: Any) -> Tensor:
        drawn = draws.shared_normal("z", count, self.z_dim)
        return drawn if self.distribution == "normal" else 0.5 * (1 + torch.erf(drawn / math.sqrt(2)))

    def evenly(self, count: int, draws: Any, purpose: str = "evenly") -> Float[Tensor, "n d"]:
        """``count`` z that cover the prior evenly in each dimension, from a random beginning."""
        begin = 0.5 * (1 + torch.erf(draws.shared_normal(purpose, 1, self.z_dim) / math.sqrt(2)))
        step = torch.arange(count, device=begin.device)[:, None]
        # further dimensions in random orders (Latin hypercube sampling, McKay, Beckman & Conover 1979)
        others = draws.shared_normal(f"{purpose}, order", count, self.z_dim - 1).argsort(0)
        order = torch.cat([step, others], 1)
        share = ((order + begin) / count).clamp(1e-6, 1 - 1e-6)
        return share if self.distribution == "even" else math.sqrt(2) * torch.erfinv(2 * share - 1)
