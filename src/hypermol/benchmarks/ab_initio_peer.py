"""`python -m hypermol.benchmarks.ab_initio_peer`: seconds per image of cryoDRGN 4.3.1 `abinit --zdim 0` and of our
`abinitio`, on the same few images.

homogeneous, 500 × 64 px, SNR 0.1, CTF, shifts up to ±5 px. On a CPU cryoDRGN's own schedule of three epochs of search
would take hours even of these, so it is timed by epoch: one that trains its first map, one that searches every image,
two of gradient steps. Its network is 3×256 in place of 3×1024. Poses of so short a run say nothing and are left out.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from hypermol.benchmarks.circumstances import ROOT, write_result
from hypermol.benchmarks.cryodrgn_files import epoch_seconds, parsed
from hypermol.benchmarks.measure import free_folder, hypermol, measured, simulated
from hypermol.benchmarks.outside import find_cryodrgn

EPOCHS = {"pretraining": 1, "search": 1, "gradient": 2}
ITS_DEFAULTS = {"search": 3, "gradient": 27}


def main(arguments: list[str] | None = None) -> None:
    """Simulate, run both programs and write the result file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", type=int, default=500)
    parser.add_argument("--box", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", type=Path, default=ROOT / ".bench" / "ab-initio-peer")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "ab-initio-peer.json")
    chosen = parser.parse_args(arguments)
    folder = chosen.work / f"n{chosen.n}-d{chosen.box}-seed{chosen.seed}"
    data = simulated("homogeneous", folder / "data", chosen.n, chosen.box, 0.1, chosen.seed, ["shift_px=5", "ctf=true"])
    ours = hypermol(
        ["train", data / "particles.star", "-m", "abinitio", "-o", free_folder(folder / "abinitio")], folder / "run.log"
    )
    rows = [{"program": "hypermol abinitio, all", **ours.row(), "cpu_s_per_image": round(ours.cpu / chosen.n, 3)}]
    rows.append(_peer(data / "particles.star", free_folder(folder / "cryodrgn"), chosen.n))
    for row in rows:
        print(row)
    problem = f"homogeneous, {chosen.n} x {chosen.box} px, SNR 0.1, CTF, shifts up to 5 px"
    write_result(
        chosen.out, {"command": "python -m hypermol.benchmarks.ab_initio_peer", "problem": problem, "rows": rows}
    )


def _peer(star: Path, folder: Path, count: int) -> dict[str, Any]:
    """One run of cryoDRGN's `abinit`, its seconds per image by kind of epoch."""
    folder.mkdir(parents=True)
    program, log = find_cryodrgn() / "cryodrgn", folder / "log.txt"
    _, (ctf,) = parsed(program, star, folder, ["ctf"])
    size = ["--zdim", "0", "--dim", "256", "--layers", "3", "--n-imgs-pretrain", str(count), "--no-analysis"]
    length = ["--epochs-pose-search", str(EPOCHS["search"]), "--epochs-sgd", str(EPOCHS["gradient"])]
    command: list[str | Path] = [
        program,
        "abinit",
        star,
        "--datadir",
        star.parent,
        "--ctf",
        ctf,
        "-o",
        folder / "out",
        *size,
        *length,
    ]
    cost = measured(command, log)
    each = [one / count for one in epoch_seconds(log.read_text(errors="replace"))]
    first = EPOCHS["pretraining"] + EPOCHS["search"]
    found = {"pretraining": each[0], "search": each[1], "gradient": min(each[first:])}
    whole = found["pretraining"] + sum(found[kind] * epochs for kind, epochs in ITS_DEFAULTS.items())
    return {
        "program": "cryoDRGN 4.3.1 abinit",
        "options": " ".join([*size, *length]),
        **cost.row(),
        **{f"wall_s_per_image, {kind}": round(seconds, 4) for kind, seconds in found.items()},
        "wall_s_per_image of its default epochs, reckoned": round(whole, 1),
    }


if __name__ == "__main__":
    main()
