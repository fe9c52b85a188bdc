"""Methods that match distributions of images: nothing is inferred of any particle."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Annotated, Any

import torch
from torch import Tensor

from hypermol.conformations import DrawnConformation
from hypermol.engine import Program, State, generator
from hypermol.engine.gradient import PREFIX, Adam, install
from hypermol.errors import ConfigError
from hypermol.maps import StillFrames
from hypermol.methods.assignment import Assignment
from hypermol.methods.game import MEAN, Game
from hypermol.methods.likelihood_free_results import SHOWN, results
from hypermol.methods.method import Results
from hypermol.methods.players import ConvolutionalCritic, FullCritic, Players, Side
from hypermol.objectives import Wasserstein, critic_box
from hypermol.poses import DrawnPose
from hypermol.specs import BuildContext, Count, Decay, Dimension, NonNegative, Portion, Share, register

PLAYING = Adam(learning_rate=1e-3, beta1=0.5, beta2=0.9)
"""The moments of both sides in CryoGAN's public code and in Gulrajani et al. 2017."""


@register("method", "likelihood-free")
@dataclasses.dataclass(frozen=True)
class LikelihoodFree:
    """A volume whose simulated images a critic cannot tell from the data's.

    Resolution marches: the critic sees shells up to ``band_start`` of Nyquist, growing to ``band_end`` when
    ``march_end`` of the turns are over, in images of just enough pixels; a finer critic takes over in each of
    ``stages``. Where the game is lost (``game_watch``), it begins again.
    """

    name: str
    source: str
    volume: Any
    conformation: Any
    pose: DrawnPose = DrawnPose()  # noqa: RUF009 (frozen)
    objective: Wasserstein = Wasserstein()  # noqa: RUF009
    critic: ConvolutionalCritic | FullCritic = ConvolutionalCritic()  # noqa: RUF009
    update: Adam = PLAYING
    critic_update: Adam = PLAYING
    frame_price: Annotated[
        NonNegative,
        "price on turns of the conformations against their mean map: no image ties their frames, which drift apart "
        "without one (ours; the paper: 0)",
    ] = 0.0
    lay_still: Annotated[
        bool,
        "turn and mirror every finished map as a whole (and shift it, where shifts are drawn) to where all differ "
        "least; not where the file's rotations are drawn, which tie the frames (ours; Gupta et al. say nothing of it)",
    ] = True
    turns: Annotated[Count, "updates of the maker"] = 3000
    critic_steps: Annotated[Count, "updates of the critic before each of the maker (CryoGAN: 4)"] = 4
    batch_size: Annotated[Count, "real images, and as many made ones, per update (CryoGAN: 8)"] = 32
    band_start: Annotated[Share, "share of Nyquist at which the resolution begins"] = 0.33
    band_end: Annotated[Share, "share of Nyquist at which it ends; what lies beyond is noise to a critic"] = 0.7
    march_end: Annotated[Share, "share of the turns after which the resolution is full"] = 0.5
    stages: Annotated[Count, "critics, one after the other, each for a finer band in larger images"] = 2
    still: Annotated[Portion, "share of the turns, at the start, in which only what all conformations share moves"] = (
        0.0
    )
    cooling: Annotated[Portion, "share of the turns, at the end, in which both learning rates fall to 0"] = 0.3
    average: Annotated[Decay, "memory of the running mean of the maker's parameters, which are the result"] = 0.99
    restarts: Annotated[Dimension, "new beginnings at most, where a game is lost"] = 2
    contrast_spread: Annotated[NonNegative, "deviation of the images' contrast about 1, as far as known"] = 0.0
    assign: Annotated[bool, "also find pose and z of each particle, by search against the finished maps"] = False
    assignment: Assignment = Assignment()  # noqa: RUF009

    makes_images = True
    frame_is_own = True  # no pose ties the maps to the file's frame
    optimises = "Wasserstein distance of image distributions, a critic against a maker (Adam)"

    @property
    def represents(self) -> str:
        """In words, for the table of methods."""
        return str(self.volume.words)

    @property
    def infers(self) -> str:
        """In words, for the table of methods."""
        return "nothing per particle; with assign: pose, and z where there is one, by search"

    @property
    def needs_poses(self) -> bool:
        """Whether the particles must come with poses."""
        return self.pose.needs_poses

    @property
    def finds_poses(self) -> bool:
        """Whether the estimates hold poses of the method's own."""
        return self.assign

    @property
    def microbatch(self) -> int:
        """A whole batch: distances of distributions are not sums over images."""
        return self.batch_size

    def check(self) -> None:
        """Raises ConfigError where the parts do not fit each other."""
        if self.volume.z_dim != self.conformation.z_dim:
            raise ConfigError(
                f"{self.name}: the volume ({self.volume.kind}) has z_dim = {self.volume.z_dim}, the conformation "
                f"({self.conformation.kind}) {self.conformation.z_dim}; z_dim alone sets both"
            )
        if self.frame_price and not self.volume.z_dim:
            raise ConfigError(f"{self.name}: frame_price = {self.frame_price:g} needs conformations; z_dim is 0")
        if self.band_end < self.band_start:
            raise ConfigError(f"{self.name}: band_end = {self.band_end:g} lies before band_start = {self.band_start:g}")

    def rate(self, progress: float) -> float:
        """What both learning rates are multiplied by when ``progress`` (0 to 1) of the turns is over."""
        return min(1.0, (1 - progress) / max(self.cooling, 1e-9))

    def bands(self, box: int) -> Callable[[float], tuple[int, int]]:
        """progress → (shell up to which images are seen, stage)."""
        largest = box // 2 - 1
        first, last = (max(2, min(largest, round(share * largest))) for share in (self.band_start, self.band_end))
        stages = min(self.stages, last - first + 1)

        def at(progress: float) -> tuple[int, int]:
            band = min(last, first + int((last - first + 1) * min(1.0, progress / self.march_end)))
            return band, (band - first) * stages // (last - first + 1)

        return at

    def _boxes(self, box: int) -> list[int]:
        """Pixels that the critic of each stage sees: enough for the last shell of its own."""
        at, largest = self.bands(box), dict[int, int]()
        for step in range(1001):
            band, stage = at(step / 1000)
            largest[stage] = max(band, largest.get(stage, 0))
        return [critic_box(largest[stage], box) for stage in sorted(largest)]

    def players(self, context: BuildContext, side: Side, stage: int, attempt: int) -> Players:
        """Both sides, their initial values a function of the seed, the attempt and the stage."""
        box = self._boxes(context.box)[stage]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(generator(context.seed, "maker", attempt).initial_seed())
            volume = self.volume.build(context)
            pose, conformation = self.pose.build(context), self.conformation.build(context)
            torch.manual_seed(generator(context.seed, "critic", attempt, stage).initial_seed())
            critic = self.critic.build(box)
        prices = self.contrast_spread, self.frame_price
        return Players(side, volume, pose, conformation, critic, self.objective, box, *prices)

    def game(self, context: BuildContext) -> Game:
        """The game for these data."""
        self.check()
        boxes = self._boxes(context.box)
        return Game(functools.partial(self.players, context), self.bands(context.box), len(boxes), self)

    def program(self, context: BuildContext) -> Program:
        """The game; then, if asked for, the search that assigns. Raises ConfigError where the parts do not fit."""
        game = self.game(context)
        batches = math.ceil(context.count / self.batch_size)
        steps = self.turns * (self.critic_steps + 1)
        phases = [game.phase(math.ceil(steps / batches), math.ceil(steps * (1 + self.restarts) / batches))]
        if self.assign:
            phases.append(self.assignment.phase(self, context))

        def initial() -> State:
            state = game.initial()
            known = {"box": context.box, "pixel_size": context.pixel_size, "points": context.points}
            return State(state.tensors, data={**known, **state.data})

        return Program(initial, tuple(phases))

    def along(self, count: int) -> Tensor | None:
        """z by which the family is shown, [n, d]; None where there is none."""
        return self.conformation.along(count) if isinstance(self.conformation, DrawnConformation) else None

    def results(self, state: State, context: BuildContext) -> Results:
        """Maps along z with their FSCCC matrix, or the one map; with ``assign``, poses and posteriors of z."""
        return results(self, state, context)

    def decoder(self, state: State, context: BuildContext) -> Callable[[Tensor | None], Tensor]:
        """z [n, d] → maps [n, D, D, D], by the running mean of the parameters; None for one map."""
        volume = self.volume.build(context)
        own = {name.removeprefix(MEAN): value for name, value in state.tensors.items() if name.startswith(MEAN)}
        lead = "volume."
        renamed = {PREFIX + name.removeprefix(lead): value for name, value in own.items() if name.startswith(lead)}
        install(volume, State(renamed)).eval()
        maps = volume.to(next(iter(renamed.values())).device).maps
        shown = self.along(SHOWN)
        if shown is None or not self.lay_still or self.pose.needs_poses:
            return maps
        return LaidStill(maps, shown, self.pose.shift_px > 0)


@dataclasses.dataclass
class LaidStill:
    """The maps of a family, each turned and mirrored as a whole onto the mean of those at ``z``, which were laid to
    where they differ least; shifted too, with ``shifts``."""

    maps: Callable[[Tensor | None], Tensor]
    z: Tensor
    shifts: bool

    @functools.cached_property
    def frames(self) -> StillFrames:
        """Those of the maps at ``z``."""
        return StillFrames(self.maps(self.z), self.shifts)

    def __call__(self, z: Tensor | None) -> Tensor:
        """z [n, d] → maps [n, D, D, D]."""
        maps = self.maps(z)
        if z is None:
            return maps
        like = torch.cdist(z.to(self.z), self.z).topk(2, largest=False).indices.tolist()
        return torch.stack([self.frames.onto(map_, near) for map_, near in zip(maps, like, strict=True)])
