"""What cryoDRGN 4.3.1 writes, read for all races: its newest files, the speed in its log, its maps at a z."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from torch import Tensor

from hypermol.benchmarks.measure import Cost, measured
from hypermol.errors import DataError
from hypermol.maps import read_map
from hypermol.particles.cryodrgn import read_arrays


def parsed(program: Path, star: Path, folder: Path, what: Sequence[str] = ("pose", "ctf")) -> tuple[Cost, list[Path]]:
    """Poses and CTF of a star file as its own parsers see them: what that cost, and ``folder``/<what>.pkl."""
    cost, files = Cost(), [folder / f"{name}.pkl" for name in what]
    for name, path in zip(what, files, strict=True):
        cost = cost + measured([program, f"parse_{name}_star", star, "-o", path], folder / f"parse-{name}.log")
    return cost, files


def newest(out: Path, pattern: str) -> Path:
    """The file of the last epoch, such as "weights.*.pkl". Raises DataError where there is none."""
    files = sorted(out.glob(pattern), key=epoch_of)
    if not files:
        raise DataError(f"{out}: expected {pattern} of cryoDRGN, found none")
    return files[-1]


def epoch_of(path: Path) -> int:
    """The last number in a file's name; files without one count as the newest."""
    numbers = re.findall(r"\d+", path.name)
    return int(numbers[-1]) if numbers else 1 << 30


def latent(out: Path) -> np.ndarray:
    """z [N, d] of the last epoch, float64. Raises DataError where there is none."""
    return np.asarray(read_arrays(newest(out, "z.*.pkl"))[0], dtype=np.float64)


def epoch_seconds(output: str) -> list[float]:
    """From lines such as "Epoch: 3 ... Finished in 0:04:31.2" of its log ("finished" by abinit), one per epoch."""
    found = re.findall(r"Epoch: *\d+ .*[Ff]inished in (\d+):(\d+):([\d.]+)", output)
    return [3600 * int(h) + 60 * int(m) + float(s) for h, m, s in found]


def maps_at(program: Path, out: Path, z: np.ndarray, listed: Path) -> Iterator[Tensor]:
    """Maps [D, D, D] at rows of z [n, d], by its eval_vol, which runs when the first is asked for: z goes into
    ``listed``, the maps and the log beside it.

    Raises DataError where not as many maps come back, ProgramFailed where it fails.
    """
    np.savetxt(listed, z)
    made = listed.parent / "maps"
    options: list[str | Path] = ["-c", out / "config.yaml", "-o", made, "--zfile", listed]
    measured([program, "eval_vol", newest(out, "weights.*.pkl"), *options], listed.with_name("eval.log"))
    files = sorted(made.glob("*.mrc"))
    if len(files) != len(z):
        raise DataError(f"{made}: expected {len(z)} maps of eval_vol, found {len(files)}")
    for file in files:
        yield read_map(file)[0]
