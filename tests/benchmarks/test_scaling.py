"""Growth of costs: the exponent of a known law, and the command at the smallest size."""

import json
from pathlib import Path

import numpy as np
import pytest

from hypermol.benchmarks.scaling import exponent, main


@pytest.mark.parametrize(("along", "power"), [("particles", 1.0), ("box", 3.0)])
def test_exponent_of_a_known_law(along: str, power: float) -> None:
    """Exact without a start; with one, the largest sizes are nearer to the law than all are."""
    sizes = (32, 48, 64, 96, 128)
    assert exponent([{along: n, "cpu_seconds": 1e-3 * n**power} for n in sizes], along) == pytest.approx(power)
    start = 1e-3 * sizes[0] ** power
    late = [{along: n, "cpu_seconds": start + 1e-3 * n**power} for n in sizes]
    seconds = [row["cpu_seconds"] for row in late]
    all_sizes = np.polyfit(np.log(sizes), np.log(seconds), 1)[0]
    assert all_sizes < exponent(late, along) < power


def test_one_size_has_no_exponent() -> None:
    assert np.isnan(exponent([{"box": 32, "cpu_seconds": 1.0}], "box"))


@pytest.mark.slow
def test_the_command(tmp_path: Path) -> None:
    out, drawn = tmp_path / "scaling.json", tmp_path / "scaling.png"
    sizes = ["--counts", "100", "200", "--boxes", "16", "24"]
    main([*sizes, "--work", str(tmp_path), "--out", str(out), "--picture", str(drawn)])
    rows = json.loads(out.read_text())["rows"]
    assert {(row["particles"], row["box"]) for row in rows} == {(100, 64), (200, 64), (2500, 16), (2500, 24)}
    assert all(row["cpu_seconds"] > 0 and row["peak_memory_mib"] > 0 for row in rows)
    assert drawn.stat().st_size > 10_000
