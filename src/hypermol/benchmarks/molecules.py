"""Molecules of the benchmark problems: real models where their files are at hand, else stand-ins that say so."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hypermol.benchmarks.circumstances import ROOT
from hypermol.simulation import Atoms, read_model, write_atoms

SIGMA_OF_RESIDUES = 3.0
"""Å, width of a pseudo-atom that stands for a residue."""


@dataclass(frozen=True)
class Molecule:
    """What is imaged: recipe settings that bring it, and in words what it is."""

    words: str
    settings: dict[str, Any] = field(default_factory=dict)


def model_file(name: str) -> Path | None:
    """A model of the shared data: in $HYPERMOL_MODELS, else ../shared/data/models beside the repository; or None."""
    for folder in (os.environ.get("HYPERMOL_MODELS"), ROOT.parent / "shared" / "data" / "models"):
        if folder and (Path(folder) / name).is_file():
            return (Path(folder) / name).resolve()
    return None


def residues(model: Atoms) -> Atoms:
    """One pseudo-atom per residue: at the weighted centre of its atoms, of their summed weight, named "…/CA"."""
    keys = np.array([label.rpartition("/")[0] for label in model.labels])
    names, first, member = np.unique(keys, return_index=True, return_inverse=True)
    weight = np.bincount(member, model.weight)
    places = np.stack([np.bincount(member, model.weight * x) / weight for x in model.coordinates.T], axis=1)
    order = np.argsort(first)
    labels = tuple(f"{name}/CA" for name in names[order].tolist())
    return Atoms(places[order], weight[order], model.chain[first][order], model.chain_names, labels)


def merged(*models: Atoms) -> Atoms:
    """All atoms of models whose chains have different names, in one frame."""
    offsets = np.cumsum([0, *(len(model.chain_names) for model in models)])
    return Atoms(
        np.concatenate([model.coordinates for model in models]),
        np.concatenate([model.weight for model in models]),
        np.concatenate([model.chain + offset for model, offset in zip(models, offsets)]),
        tuple(name for model in models for name in model.chain_names),
        tuple(label for model in models for label in model.labels),
    )


def ribosome(folder: Path) -> Molecule:
    """80S of a microsporidian (6ZU5), one pseudo-atom per residue; the small subunit turns about the line that joins
    the centres of the subunits. Else a pseudo-ribosome: a pseudo-protein of that size whose largest arm turns."""
    source = model_file("6zu5.cif.gz")
    if source is None:
        words = "stand-in (6zu5.cif.gz is absent): pseudo-ribosome of 4,000 pseudo-atoms, its largest arm turns"
        return Molecule(words, {"name": "linear1d", "atoms": 4000, "enlarge": 1.25})
    model = residues(read_model(source))
    small = tuple(name for name in model.chain_names if name.startswith("S"))
    chosen = model.in_chains(small)
    centre, other = (np.average(model.coordinates[c], axis=0, weights=model.weight[c]) for c in (chosen, ~chosen))
    path = _saved(folder / "ribosome.npz", model)
    words = "80S ribosome 6ZU5, a pseudo-atom per residue; the small subunit turns against the large one"
    return Molecule(words, {"name": "hinge", "moving": small, **_own(path), **_line(centre, centre - other)})


def hsp90(folder: Path) -> Molecule:
    """Hsp90 dimer (2CG9), one pseudo-atom per residue; chain B opens about a line through both C-terminal ends."""
    sources = [model_file(f"mono{chain}_snip.pdb") for chain in "AB"]
    if sources[0] is None or sources[1] is None:
        words = "stand-in (monoA_snip.pdb, monoB_snip.pdb are absent): the built-in hinged molecule, a fifth smaller"
        return Molecule(words, {"name": "hinge", "enlarge": 0.8})
    a, b = (residues(read_model(source)) for source in sources if source is not None)
    model = merged(a, b)
    ends = model.coordinates[model.in_chains(("A/600-677", "B/600-677"))].mean(axis=0)
    heads = [part.coordinates[part.in_chains((f"{part.chain_names[0]}/12-200",))].mean(axis=0) for part in (a, b)]
    # right-handed about this axis carries the head of B away from the head of A
    axis = np.cross(np.mean(heads, axis=0) - ends, heads[1] - heads[0])
    path = _saved(folder / "hsp90.npz", model)
    words = "Hsp90 dimer 2CG9, a pseudo-atom per residue; one chain opens about the joined C-terminal ends"
    return Molecule(words, {"name": "hinge", "moving": ("B",), **_own(path), **_line(ends, axis)})


def antibody(folder: Path) -> Molecule:
    """Intact IgG1 (1HZH), one pseudo-atom per residue; one Fab turns about the upper hinge of its heavy chain."""
    source = model_file("1hzh.pdb")
    if source is None:
        words = "stand-in (1hzh.pdb is absent): the pseudo-protein, one arm turns through 360°"
        return Molecule(words, {"name": "circular1d"})
    model = residues(read_model(source))
    ends = [model.coordinates[model.index(f"H/{number}/CA")] for number in (232, 226)]
    path = _saved(folder / "antibody.npz", model)
    words = "IgG1 1HZH, a pseudo-atom per residue; one Fab turns through 360° about residues 226-232 of its heavy chain"
    moving = ("L", "H/1-228")
    return Molecule(words, {"name": "circular1d", "moving": moving, **_own(path), **_line(ends[0], ends[1] - ends[0])})


def adenylate_kinase(folder: Path) -> Molecule:
    """Adenylate kinase, 98 frames from closed to open (a DIMS trajectory, MDAnalysis test data), all heavy atoms."""
    source = model_file("adk_transition.npz")
    if source is None:
        words = "stand-in (adk_transition.npz is absent): the built-in hinged molecule at half its size"
        return Molecule(words, {"name": "hinge", "enlarge": 0.5})
    words = "adenylate kinase, heavy atoms of 98 frames along its closed-to-open transition"
    return Molecule(words, {"name": "transition", "model": str(source)})


def _saved(path: Path, model: Atoms) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atoms(path, model)
    return path.resolve()


def _own(path: Path) -> dict[str, Any]:
    return {"model": str(path), "sigma": SIGMA_OF_RESIDUES}


def _line(pivot: np.ndarray, axis: np.ndarray) -> dict[str, Any]:
    unit = axis / np.linalg.norm(axis)
    return {"pivot": tuple(map(float, pivot)), "axis": tuple(map(float, unit))}
