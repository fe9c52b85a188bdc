"""The two sides of the game: a maker of images (volume, drawn pose, drawn z) and a critic that tells them from the
data's."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any, Literal, cast

import torch
from torch import Tensor, nn

from hypermol.conformations import ConformationPrior
from hypermol.engine import Draws
from hypermol.engine.gradient import Outcome
from hypermol.errors import ConfigError
from hypermol.metrics import sliced_wasserstein
from hypermol.networks import DenseCritic, ImageCritic
from hypermol.objectives import CriticView, Wasserstein, simulated_images
from hypermol.poses import PosePrior
from hypermol.specs import Count, register
from hypermol.volumes import DensityVolume, Volume

Side = Literal["critic", "maker"]
DIRECTIONS = 64
PRICED = 16
"""Conformations whose frames are compared at a time."""


@register("critic", "convolutional")
@dataclasses.dataclass(frozen=True)
class ConvolutionalCritic:
    """The discriminator of CryoGAN, smaller: theirs begins with 48 to 96 channels and doubles them in each block."""

    channels: Annotated[Count, "of the first block, doubled in each"] = 16
    most: Annotated[Count, "channels at most"] = 64
    hidden: Annotated[Count, "units of the full layer before the score (CryoGAN: 10)"] = 32

    def build(self, box: int) -> nn.Module:
        """For images of ``box`` pixels."""
        return ImageCritic(box, self.channels, self.most, self.hidden)


@register("critic", "dense")
@dataclasses.dataclass(frozen=True)
class FullCritic:
    """Full layers, for small images (ours)."""

    width: Annotated[Count, "units of each layer"] = 256
    layers: Annotated[Count, "layers before the score"] = 2

    def build(self, box: int) -> nn.Module:
        """For images of ``box`` pixels."""
        return DenseCritic(box, self.width, self.layers)


class Players(nn.Module):
    """Both sides; which of them is asked for its loss is ``side``. ``box``: pixels that the critic sees."""

    def __init__(
        self,
        side: Side,
        volume: Volume,
        pose: nn.Module,
        conformation: nn.Module,
        critic: nn.Module,
        objective: Wasserstein,
        box: int,
        contrast_spread: float,
        frame_price: float = 0.0,
    ) -> None:
        super().__init__()
        if frame_price and not (isinstance(volume, DensityVolume) and isinstance(conformation, ConformationPrior)):
            raise ConfigError("frame_price: for volumes of densities only (map-generator, voxel-modes), and a drawn z")
        self.volume: Volume = volume
        self.pose, self.conformation, self.critic = pose, conformation, critic
        self.side, self.objective, self.box, self.contrast_spread = side, objective, box, contrast_spread
        self.frame_price = frame_price

    def forward(self, batch: Any, draws: Draws, rows: dict[str, Tensor]) -> Outcome:
        """Loss and info summed over particles, each counting once however many images it has."""
        if self.side == "critic":
            with torch.no_grad():
                real, made, share = self._seen(batch, draws, rows)
            mix = draws.uniform("mix", batch.valid.shape[1])[batch.valid]
            judged = self.objective.judged(self.critic, real, made, mix)
            info: dict[str, Any] = {"gap": (judged.gap * share).sum(), "slope": (judged.slope * share).sum()}
            return Outcome((judged.loss * share).sum(), {}, info)
        real, made, share = self._seen(batch, draws, rows)
        loss = (self.objective.maker_loss(self.critic, made) * share).sum()
        if self.frame_price:
            loss = loss + self.frame_price * self._frames(draws) * len(batch.particle)
        with torch.no_grad():
            directions = draws.shared_normal("directions", self.box**2, DIRECTIONS)
            apart = sliced_wasserstein(real.flatten(1), made.flatten(1), directions)
        return Outcome(loss, {}, {"apart": apart * len(batch.particle)})

    def _frames(self, draws: Draws) -> Tensor:
        """How far the frames of conformations lie from that of their mean. Shifts are free where they are drawn."""
        volume, conformation = cast(DensityVolume, self.volume), cast(ConformationPrior, self.conformation)
        free = isinstance(self.pose, PosePrior) and self.pose.shift_px > 0
        return volume.frame(conformation.evenly(PRICED, draws), free)

    def _seen(self, batch: Any, draws: Draws, rows: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Real and made images [n, d, d] of the batch's valid ones, and the share [n] of its particle that each is."""
        pose = self.pose(batch, draws, rows)
        hypotheses = pose.combined(self.conformation(batch, pose, draws, rows))
        made = simulated_images(self.volume, hypotheses, batch, draws, self.contrast_spread)
        view, valid = CriticView(batch.lattice, self.box), batch.valid
        share = (valid / valid.sum(1, keepdim=True))[valid]
        variance = batch.variance[valid]
        return view(batch.images[valid], variance), view(made[valid], variance), share
