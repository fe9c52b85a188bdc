"""What the race says: ours beside the peer, seed by seed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypermol.benchmarks.known_poses.contestants import PEER

Row = dict[str, Any]


def summary(laps: Sequence[Row], runs: Sequence[Row]) -> list[Row]:
    """One row per contestant of ours and seed, each figure relative to the peer on the same seed.

    images_per_second_over_peer from the laps; peak_memory_over_peer and per_image_fsc_minus_peer from the long runs;
    time_over_peer: seconds to train as many images as the long run did, at the speeds of the laps.
    """
    fast, slow = ({(row["name"], row["seed"]): row for row in rows} for rows in (laps, runs))
    lines = []
    for name, seed in fast:
        if name == PEER:
            continue
        ratio = fast[name, seed]["images_per_second"] / fast[PEER, seed]["images_per_second"]
        line: Row = {"name": name, "seed": seed, "images_per_second_over_peer": round(ratio, 3)}
        ours, peer = slow.get((name, seed)), slow.get((PEER, seed))
        if ours and peer:
            line["time_over_peer"] = round(ours["epochs"] / peer["epochs"] / ratio, 3)
            line["peak_memory_over_peer"] = round(ours["peak_memory_mib"] / peer["peak_memory_mib"], 3)
            line["per_image_fsc_minus_peer"] = round(ours["per_image_fsc"] - peer["per_image_fsc"], 4)
        lines.append(line)
    return lines
