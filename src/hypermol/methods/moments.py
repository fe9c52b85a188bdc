"""A low-resolution map with no pose for any image: from the first three moments of the images (Kam 1980)."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Annotated, Literal

import numpy as np
from torch import Tensor

from hypermol.engine import Phase, Program, State, Step
from hypermol.errors import ConfigError
from hypermol.methods.backprojection import consensus_decoder
from hypermol.methods.method import Results
from hypermol.methods.moments_steps import UNIFORM, VIEWS, Steps
from hypermol.specs import BuildContext, Count, Dimension, Share, register


@register("method", "moments")
@dataclasses.dataclass(frozen=True)
class Moments:
    """One pass of sums over images; then the map and the density of viewing directions whose moments are nearest, by
    least squares from random starts. Nothing is known of any one image afterwards.

    The second moments of images whose in-plane angles say nothing are about a third as many numbers as a map of the
    same resolution has, so ``order`` 2 (Sharon et al. 2020) finds the coarsest shells only, and under uniform
    directions nothing at all: refused. ``order`` 3 has enough under any directions (Hoskins et al. 2024).
    """

    name: str = "moments"
    source: str = (
        "Kam 1980, J. Theor. Biol. 82:15; Bendory, Bartesaghi & Singer 2020, IEEE Signal Process. Mag. 37:58; Sharon, "
        "Kileel, Khoo, Landa & Singer 2020, Inverse Problems 36:044003; third moments: Hoskins, Khoo, Mickelin, Singer "
        "& Wang 2024, arXiv:2410.06889"
    )
    order: Annotated[Literal[2, 3], "highest moment; 2 needs views that are not uniform"] = 3
    shells: Annotated[Count, "resolution of the map, in shells (cycles per box)"] = 5
    radius: Annotated[Share, "of the molecule about the centre of the box, in boxes"] = 0.4
    concentration: Annotated[Share, "share of its energy that a function must have inside the radius"] = 0.1
    views: Annotated[
        str, "viewing directions: estimate, uniform, or a file: .npy [n, 4], rows of x, y, z, density or weight"
    ] = "estimate"
    degree: Annotated[Dimension, "highest degree of the harmonics of their density, where it is estimated"] = 6
    starts: Annotated[Count, "random beginnings, the best chosen by how well it explains the moments"] = 3
    iterations: Annotated[Count, "at most, of each start, with all shells"] = 200
    batch_size: Annotated[Count, "particles at a time"] = 500

    represents = "orthogonal basis: radial × spherical harmonics"
    infers = "density of viewing directions; nothing per particle"
    optimises = "least squares on the moments of images"
    needs_poses = False
    finds_poses = False

    @property
    def microbatch(self) -> int:
        """Particles per contribution."""
        return self.batch_size

    def check(self) -> None:
        """Raises ConfigError for second moments of uniform views, and for a file of views that cannot be read."""
        if self.order == 2 and (self.views == UNIFORM or (self.views == "estimate" and not self.degree)):
            raise ConfigError(
                f"{self.name}: seen uniformly, second moments leave an orthogonal matrix of each degree open (Kam "
                "1980), so that no map follows; say order=3, or views=estimate where views are not uniform"
            )
        if self.views not in VIEWS:
            read_views(self.views)

    def program(self, context: BuildContext) -> Program:
        """One pass, at whose end the map is found. Raises ConfigError as ``check``, and where the images have too few
        shells."""
        self.check()
        if self.shells > context.box // 2 - 1:
            raise ConfigError(f"shells = {self.shells}: images of {context.box} px have up to {context.box // 2 - 1}")
        known = None if self.views in VIEWS else read_views(self.views)
        steps = Steps(self, context, known)
        return Program(steps.initial, (Phase.whole("moments", Step(steps.add, steps.inverted), 1, self.batch_size),))

    def results(self, state: State, context: BuildContext) -> Results:
        """consensus: the map (its hand is one of two); ``view_density`` in curves.npz: [n, 4], x, y, z of directions in
        the map's frame and the density there over that of the uniform one; how well the starts explain the moments."""
        curves = {"view_density": state.tensors["views"].cpu().numpy().astype(np.float32)}
        maps = {"consensus": state.tensors["consensus"].cpu()}
        return Results({}, maps, state.data["metrics"], curves, tuple(state.data["notes"]))

    def decoder(self, state: State, context: BuildContext) -> Callable[[Tensor | None], Tensor]:
        """See ``consensus_decoder``."""
        return consensus_decoder(state)


MOMENTS = Moments()


def read_views(path: str) -> np.ndarray:
    """[n, 4] of a file of viewing directions. Raises ConfigError where it is none."""
    try:
        table = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise ConfigError(f"views = {path}: expected estimate, uniform or a .npy file [n, 4]: {error}") from None
    fine = isinstance(table, np.ndarray) and table.ndim == 2 and table.shape[1] == 4 and table.dtype.kind in "fiu"
    if not fine or not np.isfinite(table).all() or (table[:, 3] < 0).any() or not table[:, 3].sum() > 0:
        raise ConfigError(f"views = {path}: expected numbers [n, 4], rows of x, y, z and a weight of 0 or more")
    if not (np.abs(table[:, :3]).sum(1) > 0).all():
        raise ConfigError(f"views = {path}: a row has no direction, x = y = z = 0")
    return np.asarray(table, dtype=np.float64)
