"""A simulated data set whose star file says nothing of poses."""

from pathlib import Path

HIDDEN = ("_rlnAngleRot", "_rlnAngleTilt", "_rlnAnglePsi", "_rlnOriginXAngst", "_rlnOriginYAngst")


def hide_poses(folder: Path) -> Path:
    """Write ``unposed.star`` beside ``particles.star``, and return its path."""
    lines = (folder / "particles.star").read_text().splitlines()
    (folder / "unposed.star").write_text("\n".join(without(lines, HIDDEN)) + "\n")
    return folder / "unposed.star"


def without(lines, hidden):
    """A star file's particle table with some columns left out."""
    start = max(i for i, line in enumerate(lines) if line.startswith("data_particles"))
    names = [line.split()[0] for line in lines[start:] if line.startswith("_")]
    kept = [i for i, name in enumerate(names) if name not in hidden]
    out = lines[:start] + ["data_particles", "", "loop_"] + [names[i] for i in kept]
    for line in lines[start:]:
        words = line.split()
        if len(words) == len(names):
            out.append(" ".join(words[i] for i in kept))
    return out
