"""Atoms: a model as the simulator sees it, and the built-in hinged molecule."""

from __future__ import annotations

import dataclasses
import difflib
import re
from dataclasses import dataclass
from importlib.resources import files

import numpy as np

from hypermol.errors import ConfigError


@dataclass(frozen=True)
class Atoms:
    """Atoms or pseudo-atoms, each drawn as one isotropic Gaussian.

    coordinates: [n, 3] in Å (x, y, z), float64. weight: [n], the integral of each Gaussian.
    chain: [n], index into ``chain_names``. labels: [n] names "chain/residue/atom", e.g. "A/120/CA".
    """

    coordinates: np.ndarray
    weight: np.ndarray
    chain: np.ndarray
    chain_names: tuple[str, ...]
    labels: tuple[str, ...]

    @property
    def count(self) -> int:
        return len(self.weight)

    def centred(self) -> Atoms:
        """The same atoms with their centre of mass at the origin."""
        centre = np.average(self.coordinates, axis=0, weights=self.weight)
        return dataclasses.replace(self, coordinates=self.coordinates - centre)

    def index(self, label: str) -> int:
        """Row of the atom called "chain/residue/atom". Raises ConfigError with the nearest labels."""
        if label in self.labels:
            return self.labels.index(label)
        chain = label.split("/")[0]
        pool = [known for known in self.labels if known.startswith(chain + "/")] or list(self.labels)
        near = difflib.get_close_matches(label, pool, n=3, cutoff=0.0)
        raise ConfigError(f"the model has no atom {label!r}; write chain/residue/atom, for example {', '.join(near)}")

    def in_chains(self, names: tuple[str, ...]) -> np.ndarray:
        """Boolean [n]: atoms of the named chains, or of some residues of one, "H/1-230" (by number, both ends
        included). Raises ConfigError with the known names."""
        chosen = np.zeros(self.count, dtype=bool)
        unknown = [name for name in names if name.partition("/")[0] not in self.chain_names]
        if unknown:
            raise ConfigError(
                f"the model has no chain {', '.join(map(repr, unknown))}; its chains: {', '.join(self.chain_names)}"
            )
        for name in names:
            chain, _, span = name.partition("/")
            chosen |= (self.chain == self.chain_names.index(chain)) & (self._within(span) if span else True)
        return chosen

    def _within(self, span: str) -> np.ndarray:
        found = re.fullmatch(r"(-?\d+)-(-?\d+)", span)
        if found is None:
            raise ConfigError(f"residues {span!r}: expected chain/first-last, for example H/1-230")
        low, high = map(int, found.groups())
        numbers = [re.match(r"-?\d+", label.rsplit("/", 2)[1]) for label in self.labels]
        return np.array([number is not None and low <= int(number[0]) <= high for number in numbers])


def atoms_from_chains(coordinates: np.ndarray, chain: np.ndarray) -> Atoms:
    """Pseudo-atoms of weight 1, named "A/1/CA", "A/2/CA", ... within each chain."""
    chain = chain.astype(np.int64)
    names = tuple(chr(ord("A") + index) for index in range(int(chain.max()) + 1))
    number = np.zeros(len(chain), dtype=np.int64)
    for index in range(len(names)):
        members = chain == index
        number[members] = np.arange(1, members.sum() + 1)
    labels = tuple(f"{names[c]}/{i}/CA" for c, i in zip(chain, number))
    return Atoms(coordinates.astype(np.float64), np.ones(len(chain)), chain, names, labels)


@dataclass(frozen=True)
class HingedModel:
    """A model with one part that turns about a fixed line through ``pivot`` (Å) along ``axis``."""

    atoms: Atoms
    moving: np.ndarray
    pivot: np.ndarray
    axis: np.ndarray
    range_deg: tuple[float, float]
    sigma: float


def hinge_atoms() -> HingedModel:
    """The built-in hinged molecule: chains of 700, 400 and 250 pseudo-atoms, σ = 3 Å.

    The second chain turns by -30° to +30° about the stated line. The coordinates keep their own origin:
    their centre of mass lies 14 Å from it.
    """
    source = files("hypermol.simulation") / "data" / "hinge_atoms.npz"
    with source.open("rb") as stream, np.load(stream, allow_pickle=False) as data:
        atoms = atoms_from_chains(data["coordinates"], data["chain"])
        return HingedModel(
            atoms=atoms,
            moving=atoms.chain == int(data["moving_chain"]),
            pivot=data["pivot"].astype(np.float64),
            axis=data["axis"] / np.linalg.norm(data["axis"]),
            range_deg=(float(data["angle_min_deg"]), float(data["angle_max_deg"])),
            sigma=float(data["gaussian_sigma_angstrom"]),
        )
