"""`make bench-backprojection`: our back projection against cryoDRGN 4.3.1 `backproject_voxel`, same particles, poses.

linear1d, 5,000 × 64 px, SNR 0.1, CTF and shifts on. The peer reads our particles.star through its own parsers, so this
also checks every convention of the simulated files. Both maps are compared with the true mean map, shell by shell:
unmasked as each program writes it, and inside the true mask, there for ours the unfiltered one of our maps: a mask on a
map filtered to its resolution leaks its strong shells into the damped ones, and the peer filters nothing.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from hypermol.benchmarks.circumstances import ROOT, write_result
from hypermol.benchmarks.cryodrgn_files import parsed
from hypermol.benchmarks.measure import hypermol, measured, simulated
from hypermol.benchmarks.outside import find_cryodrgn
from hypermol.maps import read_map
from hypermol.metrics import fsc
from hypermol.simulation import Truth

RECIPE = "linear1d"
PEER = "cryodrgn 4.3.1 backproject_voxel"
COMPARED = 0.143  # shells where the peer's FSC with the truth is at least this


def main(arguments: list[str] | None = None) -> None:
    """Run all seeds and write the result file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--particles", type=int, default=5_000)
    parser.add_argument("--box", type=int, default=64)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--work", type=Path, default=ROOT / ".bench" / "backprojection")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "backprojection.json")
    chosen = parser.parse_args(arguments)
    rows = []
    for seed in chosen.seeds:
        folder = chosen.work / f"n{chosen.particles}-d{chosen.box}-seed{seed}"
        rows.append(race(folder, chosen.particles, chosen.box, seed))
        print(in_words(rows[-1]), flush=True)
    problem = f"{RECIPE}, {chosen.particles} x {chosen.box} px, SNR 0.1, poses known"
    write_result(chosen.out, {"command": "make bench-backprojection", "problem": problem, "peer": PEER, "rows": rows})
    print(f"written: {chosen.out}")


def race(folder: Path, particles: int, box: int, seed: int) -> dict[str, Any]:
    """Simulate, run both programs, compare. Raises ConfigError where cryoDRGN is absent."""
    programs = find_cryodrgn()
    data = folder / "data"
    simulated(RECIPE, data, particles, box, 0.1, seed)
    peer, peer_cost = _peer(programs, folder, data)
    ours, ours_cost = _ours(folder, data)
    curves = _curves(Truth.load(data), peer, ours)
    return {"seed": seed, "cost": {"peer": peer_cost, "ours": ours_cost}, "fsc": curves, **_verdict(curves)}


def in_words(row: dict[str, Any]) -> str:
    """One row as a line."""
    cost = row["cost"]
    return (
        f"seed {row['seed']}: ours - peer at least {row['least_difference']['unmasked']:+.3f} unmasked, "
        f"{row['least_difference']['masked']:+.3f} masked; peer up to half Nyquist at least "
        f"{row['peer_to_half_nyquist']['masked']:.3f} masked; processor {cost['ours']['cpu_seconds']} s against "
        f"{cost['peer']['cpu_seconds']} s"
    )


def _peer(programs: Path, folder: Path, data: Path) -> tuple[Path, dict[str, Any]]:
    program, star, out = programs / "cryodrgn", data / "particles.star", folder / "peer"
    _, (poses, ctf) = parsed(program, star, folder)
    # its CTF is negative at low frequency, its data are inverted by default: bright particles give positive density
    given: list[str | Path] = ["--datadir", data, "--poses", poses, "--ctf", ctf, "--no-fsc-vals", "-o", out]
    timed = measured([program, "backproject_voxel", star, *given], folder / "peer.log")
    return out / "backproject.mrc", timed.row()


def _ours(folder: Path, data: Path) -> tuple[Path, dict[str, Any]]:
    import shutil

    out = folder / "ours"
    shutil.rmtree(out, ignore_errors=True)
    timed = hypermol(["train", data / "particles.star", "-m", "backprojection", "-o", out], folder / "ours.log")
    return out / "volumes", timed.row()


def _curves(truth: Truth, peer: Path, ours: Path) -> dict[str, dict[str, list[float]]]:
    """FSC with the true mean map per shell."""
    mean, mask = truth.mean_map().float(), truth.mask().float()
    files = peer, ours / "consensus.mrc", ours / "unfiltered.mrc"
    theirs, consensus, unfiltered = (read_map(file)[0] for file in files)

    def rounded(map_: Any, within: Any = None) -> list[float]:
        return [round(float(value), 5) for value in fsc(map_, mean, within)]

    return {
        "unmasked": {"peer": rounded(theirs), "ours": rounded(consensus), "ours_unfiltered": rounded(unfiltered)},
        "masked": {
            "peer": rounded(theirs, mask),
            "ours": rounded(unfiltered, mask),
            "ours_filtered": rounded(consensus, mask),
        },
    }


def _verdict(curves: dict[str, dict[str, list[float]]]) -> dict[str, Any]:
    least, half_nyquist = {}, {}
    for kind, of in curves.items():
        compared = [(ours - peer) for ours, peer in zip(of["ours"][1:], of["peer"][1:]) if peer >= COMPARED]
        least[kind] = round(min(compared), 5)
        half_nyquist[kind] = min(of["peer"][: len(of["peer"]) // 2 + 1])
    return {"least_difference": least, "peer_to_half_nyquist": half_nyquist}


if __name__ == "__main__":
    main()
