"""From a recipe to the molecule that is imaged: its atoms, its motion, its size."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import torch
from scipy.spatial import cKDTree

from hypermol.errors import ConfigError
from hypermol.imaging.rotations import quaternion_to_matrix
from hypermol.simulation.models import Atoms, hinge_atoms
from hypermol.simulation.motions import Arrangements, Motion, Turn, Turns
from hypermol.simulation.pseudo_protein import CONTACT, pseudo_protein
from hypermol.simulation.recipe import Recipe
from hypermol.simulation.transitions import Transition, transition_through

SIGMA_OF_PSEUDO_ATOMS = 3.0
SIGMA_OF_ATOMS = 1.5
FIELD_OF_VIEW = 192.0
"""Å across the box for the built-in molecules, whatever the box: 3 Å per pixel at 64 px, 6 Å at 32 px."""
OWN_FIELD_OF_VIEW = 1.5
"""Diameters of the user's molecule across the box."""
RANGES = {"linear1d": (-45.0, 45.0), "circular1d": (0.0, 360.0), "hinge": (-30.0, 30.0)}
LEVELS = {"linear1d": 50, "linear2d": 50, "circular1d": 100, "hinge": 0}


@dataclass(frozen=True)
class Molecule:
    """What is imaged. sigma: Å, width of every atom. pixel_size: Å. radius: Å, from the origin to the centre of
    the outermost atom of any state."""

    motion: Motion
    sigma: float
    pixel_size: float
    radius: float


def build_molecule(recipe: Recipe) -> Molecule:
    """The molecule of a recipe. Raises ConfigError where it does not fit the box, DataError for bad files."""
    motion = _own_motion(recipe) if recipe.own_model else _built_in_motion(recipe)
    sigma = recipe.sigma or (SIGMA_OF_ATOMS if recipe.own_model else SIGMA_OF_PSEUDO_ATOMS * recipe.enlarge)
    radius = _radius(motion)
    field = 2 * OWN_FIELD_OF_VIEW * radius if recipe.own_model else FIELD_OF_VIEW * recipe.enlarge
    pixel_size = recipe.pixel_size or field / recipe.box
    if 2 * (radius + 2 * sigma) > recipe.box * pixel_size:
        raise ConfigError(
            f"the molecule is {2 * (radius + 2 * sigma):.0f} Å wide and does not fit a box of {recipe.box} px x "
            f"{pixel_size:g} Å = {recipe.box * pixel_size:.0f} Å; take pixel_size >= "
            f"{2 * (radius + 2 * sigma) / recipe.box:.2f} or box >= "
            f"{2 * int(np.ceil((radius + 2 * sigma) / pixel_size))}"
        )
    return Molecule(motion, sigma, pixel_size, radius)


def _radius(motion: Motion) -> float:
    largest = 0.0
    for state in motion.states():
        positions, weights = motion.atoms(state[None])
        largest = max(largest, float(np.linalg.norm(positions[weights > 0], axis=-1).max()))
    return largest


def _built_in_motion(recipe: Recipe) -> Motion:
    levels = LEVELS.get(recipe.name, 0) if recipe.levels is None else recipe.levels
    span = recipe.range_deg or RANGES.get(recipe.name, (0.0, 0.0))
    if recipe.name == "hinge":
        hinge = hinge_atoms()
        model, scale = hinge.atoms, recipe.enlarge
        turn = Turn(hinge.moving, hinge.pivot * scale, hinge.axis, recipe.range_deg or hinge.range_deg)
        return Turns(_enlarged(model, scale), (turn,), levels, recipe.populations)
    protein = pseudo_protein(recipe.atoms, recipe.molecule_seed)
    model = _enlarged(protein.atoms, recipe.enlarge)
    if recipe.name == "discrete10":
        return random_arrangements(model, 10, recipe.molecule_seed, recipe.populations)
    if recipe.name == "homogeneous":
        return Turns(model, ())
    first = _chain_turn(model, protein.bonds[1], (-45.0, 45.0) if recipe.name == "linear2d" else span)
    if recipe.name != "linear2d":
        return Turns(model, (first,), levels, recipe.populations)
    second = _chain_turn(model, protein.bonds[2], (-90.0, 90.0))
    return Turns(model, (first, second), levels, recipe.populations)


def _own_motion(recipe: Recipe) -> Motion:
    from hypermol.simulation.model_files import read_model

    if recipe.name == "states":
        models = tuple(read_model(path) for path in recipe.models)
        return Arrangements(_about_common_centre(models), recipe.populations)
    if recipe.name == "transition":
        return _own_transition(recipe)
    raw = read_model(str(recipe.model))
    model = raw.centred()
    if recipe.name == "homogeneous":
        return Turns(model, ())
    if recipe.name == "discrete10":
        return random_arrangements(model, 10, recipe.molecule_seed, recipe.populations)
    levels = LEVELS[recipe.name] if recipe.levels is None else recipe.levels
    span = recipe.range_deg or RANGES[recipe.name]
    if recipe.bond is not None:
        ends = (model.index(recipe.bond[0]), model.index(recipe.bond[1]))
        moving = model.in_chains(recipe.moving) if recipe.moving else _beyond(model, *ends)
        return Turns(model, (_line_turn(model, ends, moving, span),), levels, recipe.populations)
    centre = raw.coordinates[0] - model.coordinates[0]
    axis = np.asarray(recipe.axis, dtype=np.float64)
    pivot = np.asarray(recipe.pivot, dtype=np.float64) - centre
    turn = Turn(model.in_chains(recipe.moving), pivot, axis / np.linalg.norm(axis), span)
    return Turns(model, (turn,), levels, recipe.populations)


def _own_transition(recipe: Recipe) -> Transition:
    from hypermol.simulation.frame_files import read_frames
    from hypermol.simulation.model_files import read_model

    if recipe.model is not None:
        models = read_frames(recipe.model)
    else:
        models = tuple(read_model(path) for path in recipe.models)
    counts = {model.count for model in models}
    if len(models) < 2 or len(counts) > 1:
        found = f"{len(models)} models of {' and '.join(map(str, sorted(counts)))} atoms"
        raise ConfigError(f"a transition needs at least two models of the same atoms in the same order, found {found}")
    return transition_through(models, recipe.levels or 0, recipe.populations)


def _about_common_centre(models: tuple[Atoms, ...]) -> tuple[Atoms, ...]:
    """All models moved by one vector, so that nothing moves between states that did not move in the files."""
    centre = np.mean([np.average(m.coordinates, axis=0, weights=m.weight) for m in models], axis=0)
    return tuple(dataclasses.replace(m, coordinates=m.coordinates - centre) for m in models)


def _enlarged(model: Atoms, factor: float) -> Atoms:
    return dataclasses.replace(model, coordinates=model.coordinates * factor)


def _chain_turn(model: Atoms, bond: tuple[int, int], span: tuple[float, float]) -> Turn:
    return _line_turn(model, bond, model.chain == model.chain[bond[1]], span)


def _line_turn(model: Atoms, ends: tuple[int, int], moving: np.ndarray, span: tuple[float, float]) -> Turn:
    start, end = model.coordinates[list(ends)]
    length = float(np.linalg.norm(end - start))
    if length < 1e-3:
        raise ConfigError(f"bond: {model.labels[ends[0]]} and {model.labels[ends[1]]} are at the same place")
    return Turn(moving, start, (end - start) / length, span)


def _beyond(model: Atoms, first: int, second: int) -> np.ndarray:
    """Atoms of the second atom's chain that follow it in the file, away from the first atom."""
    order = np.arange(model.count)
    further = order >= second if second > first else order <= second
    return further & (model.chain == model.chain[second])


def random_arrangements(model: Atoms, count: int, seed: int, populations: tuple[float, ...] = ()) -> Arrangements:
    """``count`` models in which every chain but the first is turned at random and docked, without overlap, onto
    those before it; the most compact of eight random sides is taken. Needs at least two chains."""
    if len(model.chain_names) < 2:
        raise ConfigError("random arrangements of the chains need a model of at least two chains")
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(72,)))
    return Arrangements(tuple(_arranged(model, rng).centred() for _ in range(count)), populations)


def _arranged(model: Atoms, rng: np.random.Generator) -> Atoms:
    positions = model.coordinates - model.coordinates[model.chain == 0].mean(axis=0)
    for chain in range(1, len(model.chain_names)):
        placed = cKDTree(positions[model.chain < chain])
        members = model.chain == chain
        turn = quaternion_to_matrix(torch.from_numpy(rng.normal(size=4))).numpy()
        part = (positions[members] - positions[members].mean(axis=0)) @ turn.T
        sides = rng.normal(size=(8, 3))
        sides /= np.linalg.norm(sides, axis=1, keepdims=True)
        reach = np.array([_docking_distance(placed, part, side) for side in sides])
        positions[members] = part + reach.min() * sides[reach.argmin()]
    return dataclasses.replace(model, coordinates=positions)


def _docking_distance(placed: cKDTree, part: np.ndarray, side: np.ndarray) -> float:
    """How close along ``side`` (Å from the first chain's centre) a part comes before it touches."""
    distance = float(np.linalg.norm(placed.data, axis=1).max() + np.linalg.norm(part, axis=1).max() + CONTACT)
    while distance > 0:
        gap = float(placed.query(part + distance * side)[0].min()) - CONTACT
        if gap < 0.25:
            return distance
        distance -= gap  # nothing can touch sooner than that
    return 0.0
