"""Atomic models on disk: PDB and mmCIF, read and written by gemmi."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hypermol.errors import DataError
from hypermol.simulation.frame_files import read_frames
from hypermol.simulation.models import Atoms

_ELEMENTS_OF_POLYMERS = {"H": 1, "D": 1, "C": 6, "N": 7, "O": 8, "P": 15, "S": 16}


def read_model(path: Path | str) -> Atoms:
    """Atoms of the first model in a PDB or mmCIF file (also gzipped), each weighted by its atomic number; or the first
    frame of an .npz file (see ``read_frames``).

    Hydrogens and waters are left out; of alternative conformations the first is kept. Coordinates stay in the
    file's frame. Raises DataError for a missing or unreadable file and for one without atoms.
    """
    import gemmi

    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path}: no such model file; expected a PDB or mmCIF file")
    if path.suffix == ".npz":
        return read_frames(path)[0]
    try:
        structure = gemmi.read_structure(str(path))
    except (RuntimeError, ValueError, OSError) as error:
        raise DataError(f"{path}: not a readable PDB or mmCIF file: {error}") from None
    if len(structure) == 0:
        raise DataError(f"{path}: holds no atoms")
    structure.remove_alternative_conformations()
    structure.remove_waters()
    positions, weights, chains, labels, names = [], [], [], [], []
    for chain in structure[0]:
        name = chain.name or "A"  # a blank chain must be nameable
        if name not in names:
            names.append(name)
        for residue in chain:
            polymer = _is_polymer(residue)
            for atom in residue:
                number = _atomic_number(atom, polymer)
                if number > 1:
                    positions.append(atom.pos.tolist())
                    weights.append(float(number))
                    chains.append(names.index(name))
                    labels.append(f"{name}/{residue.seqid}/{atom.name}")
    if not positions or not np.isfinite(positions).all():
        raise DataError(f"{path}: expected atoms with finite coordinates, found {len(positions)} atoms")
    return Atoms(np.array(positions), np.array(weights), np.array(chains), tuple(names), tuple(labels))


def _is_polymer(residue: Any) -> bool:
    """Whether a residue belongs to a protein or nucleic acid: by its name, or, where force fields have names of
    their own (HSD), by its backbone."""
    import gemmi

    kind = gemmi.find_tabulated_residue(residue.name)
    names = {atom.name for atom in residue}
    return kind.is_amino_acid() or kind.is_nucleic_acid() or names >= {"N", "CA", "C"}


def _atomic_number(atom: Any, polymer: bool) -> int:
    """In polymers the name of an atom tells its element. Files without an element column, or with names in the
    wrong columns, would otherwise be misread (HG as mercury, CA as calcium)."""
    name = atom.name.lstrip("0123456789'\"*").upper()
    if polymer and not name.startswith("SE"):
        number = _ELEMENTS_OF_POLYMERS.get(name[:1])
        if number is not None:
            return number
    return int(atom.element.atomic_number) or 6


def write_models(paths: Sequence[Path], model: Atoms, positions: Iterable[np.ndarray]) -> None:
    """Write one model in several shapes (positions [n, 3] Å each) as mmCIF, to be opened in a molecular viewer."""
    import gemmi

    structure, atoms = _structure(model)
    for path, place in zip(paths, positions):
        for atom, xyz in zip(atoms, place.tolist()):
            atom.pos = gemmi.Position(*xyz)
        structure.make_mmcif_document().write_file(str(path))


def _structure(model: Atoms) -> tuple[Any, list[Any]]:
    """A gemmi structure of the model, and its atoms in the model's order."""
    import gemmi

    structure = gemmi.Structure()
    structure.name = "model"
    structure.add_model(gemmi.Model(1))
    for name in model.chain_names:
        structure[0].add_chain(gemmi.Chain(name))
    for label, weight in zip(model.labels, model.weight):
        name, number, atom_name = label.rsplit("/", 2)
        chain = structure[0][name]
        if len(chain) == 0 or chain[-1].seqid != _sequence_id(number):
            residue = gemmi.Residue()
            residue.name, residue.seqid = "UNK", _sequence_id(number)
            chain.add_residue(residue)
        atom = gemmi.Atom()
        atom.name, atom.element = atom_name, gemmi.Element(round(weight) if weight > 1 else 6)
        chain[-1].add_atom(atom)
    structure.setup_entities()
    return structure, _in_order(structure, model)


def _in_order(structure: Any, model: Atoms) -> list[Any]:
    """The model's rows may mix chains; the structure's never do."""
    queues = {chain.name: iter([atom for residue in chain for atom in residue]) for chain in structure[0]}
    return [next(queues[label.rsplit("/", 2)[0]]) for label in model.labels]


def _sequence_id(number: str) -> Any:
    """gemmi's own parser changes the case of insertion codes."""
    import gemmi

    if number[-1].isdigit():
        return gemmi.SeqId(int(number), " ")
    return gemmi.SeqId(int(number[:-1]), number[-1])
