"""The steps of ``hyper-molecule``: chains of a batch's particles, and the volumes that follow from all of them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from hypermol.engine import Contribution, Draws, State, generator
from hypermol.imaging import matrix_to_rotvec, quaternion_to_matrix, rotvec_to_matrix
from hypermol.joint import (
    BasisTarget,
    CoefficientPosterior,
    Metropolis,
    Prior,
    States,
    Together,
    Way,
    drawn_powers,
    first_lengths,
    from_rows,
    normal_equations,
    plane_of,
    to_rows,
    tuned,
)
from hypermol.joint.together import FIRST, chosen, directions, places, tuned_together
from hypermol.specs import BuildContext

CHAIN = "chain_"
ASLEEP = 1e-6  # power of functions of z that wait


@dataclasses.dataclass
class Steps:
    """State: coefficients [C, Q, N], powers [C, Q]; draws [S, C, Q, N], those kept; reach [C, W], lengths of the moves
    of all particles together, and led [C, W], how often these led elsewhere while sampling. Table: chain_rotation
    [M, C, 3, 3], chain_shift, chain_z, chain_log_likelihood; lengths [M, C, 4] of moves; reference [M, 3, 3]: the frame
    in which rotations are told; samples [M, C, S, 3 + s + d + 1] of turn from the reference (radians), shift (Å), z,
    log-likelihood; accepted [M, C, 4].

    ``settings``: a ``HyperMolecule``."""

    settings: Any
    context: BuildContext

    def __post_init__(self) -> None:
        spec, context = self.settings.volume, self.context
        self._expansion, self._conformations = spec.expansion(context.box), spec.conformations()
        self._variance = spec.variance(context)
        spread = self.settings.shift_spread * context.box * context.pixel_size
        self._prior = Prior(spread, spec.domain, spec.z_dim)
        self._plane: Tensor | None = None
        self._together = Together(self._expansion, self._conformations, context.pixel_size)

    @property
    def round(self) -> int:
        """Updates from one sweep to the next."""
        return 1 + self.settings.together

    def initial(self) -> State:
        """Nothing yet."""
        context = self.context
        return State(data={"box": context.box, "pixel_size": context.pixel_size, "points": context.points})

    def entered(self, state: State) -> State:
        """Only what a search may have found."""
        kept = {f"start_{name}": state.table[name] for name in ("rotation", "shift") if name in state.table}
        said = {"notes": state.data["notes"]} if "notes" in state.data else {}
        return State({}, kept, {**self.initial().data, **said})

    def begin(self, state: State, batch: Any, draws: Draws) -> Contribution:
        """Poses near the given ones, or at random; z from its prior."""
        chains, settings = self.settings.sampler.chains, self.settings
        rotation, shift = self._start(state, batch, draws)
        turn = math.radians(settings.start_deg) * draws.normal("apart", chains, 3, dtype=torch.float64)
        z = self._prior.z_of(draws.uniform("z", chains, self._prior.freedom, dtype=torch.float64))
        shift = shift[:, None].expand(-1, chains, -1)
        at = States(rotvec_to_matrix(turn) @ rotation, shift, z, shift.new_zeros(z.shape[:2]))
        blank = torch.zeros(chains, *self._variance.shape, dtype=torch.float64, device=z.device)
        sums: dict[str, Any] = normal_equations(self._target(blank, batch), at)
        return Contribution(sums, _named(at) | {"lengths": first_lengths(z, self._prior)})

    def first_volumes(self, state: State, totals: dict[str, Tensor]) -> State:
        """A draw of each chain's volume, at first of degree 1 in z: a z that is folded over itself by its square is a
        trap that chains do not leave."""
        degree = torch.tensor([sum(map(abs, one)) for one in self._conformations.powers])
        powers = torch.where(degree > 1, ASLEEP, 1.0).double().to(totals["pull even"].device)
        return self._drawn(state, totals, powers.expand(self.settings.sampler.chains, -1).clone())

    def find(self, state: State, batch: Any, draws: Draws) -> Contribution:
        """A sweep at a temperature that falls to 1 over the first half of the passes."""
        clock, settings = state.clock, self.settings
        share = min(1.0, 2 * clock.pass_index / max(settings.find_passes, 1))
        return self._swept(state, batch, draws, settings.coldness ** (1 - share), clock.pass_index)

    def settle(self, state: State, batch: Any, draws: Draws) -> Contribution:
        """A sweep, moves still tuned."""
        return self._swept(state, batch, draws, 1.0, self.settings.find_passes + self._sweep(state))

    def sample(self, state: State, batch: Any, draws: Draws) -> Contribution:
        """A sweep whose end is kept."""
        number, known = self._sweep(state), state.table
        done = self._swept(state, batch, draws, 1.0, None)
        at = _chains(done.rows)
        turn = matrix_to_rotvec(at.rotation @ known["reference"][batch.particle][:, None].mT)
        found = torch.cat([turn, at.shift, at.z, at.log_likelihood[..., None]], -1)
        samples = known["samples"][batch.particle].clone()
        samples[:, :, number] = found
        rows = {**done.rows, "samples": samples, "accepted": known["accepted"][batch.particle] + done.rows["accepted"]}
        return dataclasses.replace(done, rows=rows)

    def redrawn(self, state: State, totals: dict[str, Tensor]) -> State:
        """Volumes given all poses and z, their powers, and rotations brought back to the reference, if there is one."""
        powers = state.tensors["powers"]
        if self.settings.learn_powers and "reference" in state.table:  # before, z means nothing yet
            seed = int(torch.randint(1 << 62, (), generator=self._generator(state, "powers")))
            powers = drawn_powers(state.tensors["coefficients"].cpu(), self._variance, seed).to(powers)
        return self._turned_back(self._drawn(state, totals, powers), totals)

    def kept(self, state: State, totals: dict[str, Tensor]) -> State:
        """The same; the volumes are kept."""
        number, state = self._sweep(state), self.redrawn(state, totals)
        draws = state.tensors["draws"].clone()
        draws[number] = state.tensors["coefficients"]
        return State({**state.tensors, "draws": draws}, state.table, state.data)

    def gathered(self, state: State) -> State:
        """All chains go on from the likeliest: they then have one frame, one hand, and one direction of z. From now
        on V may be of any degree in z."""
        best = int(state.table[f"{CHAIN}log_likelihood"].sum(0).argmax())
        tensors = {name: _repeated(value, best, 0) for name, value in state.tensors.items()}
        tensors["powers"] = torch.ones_like(tensors["powers"])
        reach = tensors["powers"].new_tensor([FIRST[way.kind] for way in self._together.ways])
        tensors["reach"] = reach.expand(self.settings.sampler.chains, -1).clone()
        names = [name for name in state.table if name.startswith(CHAIN) or name == "lengths"]
        table = {name: _repeated(state.table[name], best, 1) for name in names}
        return State(tensors, {**table, "reference": table[f"{CHAIN}rotation"][:, 0].clone()}, state.data)

    def recording(self, state: State) -> State:
        """Room for what is kept."""
        settings, known = self.settings, state.table
        size = 3 + known[f"{CHAIN}shift"].shape[-1] + settings.volume.z_dim + 1
        rows = known["reference"].new_zeros(len(known["reference"]), settings.sampler.chains, settings.samples, size)
        coefficients = state.tensors["coefficients"]
        draws = coefficients.new_zeros(settings.samples, *coefficients.shape)
        table = {**known, "samples": rows, "accepted": torch.zeros_like(known["lengths"])}
        tensors = {**state.tensors, "draws": draws, "led": torch.zeros_like(state.tensors["reach"])}
        return State(tensors, table, state.data)

    def beside(self, state: State, batch: Any, draws: Draws) -> Contribution:
        """How likely images, poses and z are at other places of an orbit of them all and the volume."""
        way, direction, amount, _ = self._orbit(state)
        at = _chains(state.table, batch.particle)
        coefficients = state.tensors["coefficients"]
        volumes, _ = self._together.volumes(way, direction, amount, coefficients)
        there, stretch = self._together.states(way, direction, amount, at)
        candidates = (value.flatten(1, 2)[:, :, None] for value in (there.rotation, there.shift, there.z))
        likely = self._target(volumes.flatten(0, 1), batch).log_likelihood(*candidates)
        density = likely.view(stretch.shape) + self._prior.log_density(there) + stretch
        return Contribution({"density": density.sum(0)}, {}, {"nll": -likely[:, :: amount.shape[1]].mean(1).sum()})

    def led(self, state: State, totals: dict[str, Tensor]) -> State:
        """Each chain goes on from one of these places, in proportion to the posterior there."""
        way, direction, amount, rng = self._orbit(state)
        tensors, place = state.tensors, self._together.ways.index(way)
        volumes, grown = self._together.volumes(way, direction, amount, tensors["coefficients"])
        variance = tensors["powers"][:, None, :, None] * self._variance.to(volumes)
        which = chosen(totals["density"] + grown - 0.5 * (volumes.square() / variance).sum((-2, -1)), rng)
        chains, elsewhere = torch.arange(len(which), device=which.device), which != 0
        there, _ = self._together.states(way, direction, amount[chains, which][:, None], _chains(state.table))
        moved = {f"{CHAIN}{name}": getattr(there, name)[:, :, 0] for name in ("rotation", "shift", "z")}
        counted = "led" if "led" in tensors else "reach"
        changed = tensors[counted].clone()
        if counted == "led":
            changed[:, place] += elsewhere
        else:
            changed[:, place] = tuned_together(changed[:, place], elsewhere, self._visits(state))
        more = {"coefficients": volumes[chains, which], counted: changed}
        return State({**tensors, **more}, {**state.table, **moved}, state.data)

    def _sweep(self, state: State) -> int:
        return state.clock.updates // self.round

    def _visits(self, state: State) -> int:
        """How often this phase was at the way that it is at."""
        return self._turn(state) // len(self._together.ways)

    def _turn(self, state: State) -> int:
        """Number of this move of all particles, in its phase."""
        sweep, within = divmod(state.clock.updates, self.round)
        return sweep * self.settings.together + within - 1

    def _orbit(self, state: State) -> tuple[Way, Tensor, Tensor, torch.Generator]:
        """The way whose turn it is, each chain's direction [C, 3] and places [C, K]; and the stream of what follows."""
        ways, rng = self._together.ways, self._generator(state, "together")
        place = self._turn(state) % len(ways)
        reach = state.tensors["reach"][:, place]
        return ways[place], directions(len(reach), rng).to(reach), places(reach, rng), rng

    def _swept(self, state: State, batch: Any, draws: Draws, beta: float, tuning: int | None) -> Contribution:
        """One sweep under the present volumes; ``tuning``: its number while moves are tuned."""
        lengths = state.table["lengths"][batch.particle]
        target = self._target(state.tensors["coefficients"], batch)
        at = self._placed(_chains(state.table, batch.particle), target)
        kernel = Metropolis(target, self._prior, draws, beta)
        at, shares = self.settings.sampler.sweep(kernel, at, lengths, state.clock.pass_index)
        rows = _named(at)
        if tuning is None:
            rows["accepted"] = shares
        else:
            rows["lengths"] = tuned(lengths, shares, tuning, self._prior)
        totals: dict[str, Any] = normal_equations(target, at)
        if "reference" in state.table:
            frame = state.table["reference"][batch.particle]
            totals["turn"] = torch.einsum("bji,bcjk->cik", frame, at.rotation)
        info = {"nll": -at.log_likelihood.mean(1).sum()}
        info |= {
            f"accepted {kind}": shares[..., place].mean(1).sum() for place, kind in enumerate(("turn", "shift", "z"))
        }
        return Contribution(totals, rows, info)

    def _placed(self, at: States, target: BasisTarget) -> States:
        value = target.log_likelihood(at.rotation[:, :, None], at.shift[:, :, None], at.z[:, :, None])[:, :, 0]
        return dataclasses.replace(at, log_likelihood=value)

    def _start(self, state: State, batch: Any, draws: Draws) -> tuple[Tensor, Tensor]:
        """Rotations [B, 1 or C, 3, 3] and shifts [B, s] to begin with; drawn from the prior for a random start."""
        if "start_rotation" in state.table:
            found = (state.table[f"start_{name}"][batch.particle].double() for name in ("rotation", "shift"))
            rotation, shift = found
            return rotation[:, None], shift
        if self.settings.start != "random":
            return batch.rotation.double()[:, None], batch.shift.double()
        quaternion = draws.normal("anywhere", self.settings.sampler.chains, 4, dtype=torch.float64)
        shift = self._prior.shift_spread * draws.normal("anywhere, shift", batch.shift_dim, dtype=torch.float64)
        return quaternion_to_matrix(quaternion), shift

    def _target(self, coefficients: Tensor, batch: Any) -> BasisTarget:
        if self._plane is None or len(self._plane) != batch.lattice.size or self._plane.device != batch.images.device:
            self._plane = plane_of(self._expansion, batch.lattice)
        return BasisTarget.of(self._expansion, self._conformations, coefficients, self._plane, batch)

    def _drawn(self, state: State, totals: dict[str, Tensor], powers: Tensor) -> State:
        variance = powers[..., None] * self._variance.to(powers.device)
        posterior = CoefficientPosterior.of(totals, variance)
        coefficients = posterior.drawn(self._generator(state, "coefficients"))
        return State({**state.tensors, "coefficients": coefficients, "powers": powers}, state.table, state.data)

    def _turned_back(self, state: State, totals: dict[str, Tensor]) -> State:
        """One rotation of all poses and of the volume changes no likelihood: it is chosen so that rotations lie as near
        the reference as they can (Procrustes), else chains would wander in it."""
        if "turn" not in totals:
            return state
        left, _, right = torch.linalg.svd(totals["turn"])
        sign = torch.ones_like(left[..., 0])
        sign[..., 2] = torch.linalg.det(left) * torch.linalg.det(right)
        turn = right.mT @ torch.diag_embed(sign) @ left.mT
        coefficients = state.tensors["coefficients"]
        back = turn.mT[:, None].expand(*coefficients.shape[:2], 3, 3)
        tensors = {**state.tensors, "coefficients": self._expansion.turned(coefficients, back)}
        name = f"{CHAIN}rotation"
        return State(tensors, {**state.table, name: state.table[name] @ turn}, state.data)

    def _generator(self, state: State, purpose: str) -> torch.Generator:
        clock = state.clock
        return generator(self.context.seed, purpose, clock.phase, clock.pass_index)


def _chains(table: Mapping[str, Tensor], rows: Tensor | None = None) -> States:
    """Where the chains of these particles are (of all of them)."""
    named = {name.removeprefix(CHAIN): value for name, value in table.items() if name.startswith(CHAIN)}
    return from_rows({name: value if rows is None else value[rows] for name, value in named.items()})


def _named(at: States) -> dict[str, Tensor]:
    return {f"{CHAIN}{name}": value for name, value in to_rows(at).items()}


def _repeated(value: Tensor, place: int, axis: int) -> Tensor:
    """One chain's part in place of every chain's."""
    return value.select(axis, place).unsqueeze(axis).expand_as(value).clone()
