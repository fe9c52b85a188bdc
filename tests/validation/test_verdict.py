"""The verdict's sentences from figures, and stages that are kept."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hypermol.validation.kept import Kept
from hypermol.validation.verdict import axis_is_real, verdict


def _found(axes: list[tuple[float, float | None]], noise: float | None = 0.5, **more: Any) -> dict[str, Any]:
    blank = {"significance": noise}
    rows = [
        {"axis": j + 1, "significance": s, "resolution": r, "pose_and_ctf": 0.0, "order": None}
        for j, (s, r) in enumerate(axes)
    ]
    for row in rows:
        row["real"] = axis_is_real(row, blank)
    return {"latent": True, "axes": rows, "noise": blank, "any_change": None, "still": {"resolution": 6.0}, **more}


def test_one_axis_of_several():
    lines = verdict(_found([(20.0, 7.1), (1.0, None), (-2.0, None)]))
    assert lines[0] == "Motion along axis 1 reproduces to 7.1 Å; axes 2 and 3 do not."
    assert "finds nothing" in " ".join(lines)


def test_two_axes():
    lines = verdict(_found([(20.0, 7.14), (9.0, 11.0), (0.0, 50.0)]))
    assert lines[0] == "Motion along axes 1 and 2 reproduces between the two halves of the data; axis 3 does not."
    assert "Axis 2: to 11.0 Å, 9 deviations above chance." in lines


def test_no_motion():
    assert verdict(_found([(2.0, 40.0)]))[0].startswith("No motion is shown")
    assert verdict(_found([]))[0].startswith("No motion: in at least one half z is the same")
    assert "one map" in verdict({"latent": False, "still": {"resolution": 6.0}})[0]


def test_what_reproduces_without_being_motion():
    lines = verdict(_found([(2.0, 40.0)], any_change={"significance": 30.0, "resolution": 8.0}))
    assert lines[0].startswith("No motion is shown")
    assert any("no change of shape" in line for line in lines)


def test_noise_that_shows_a_change_withdraws_what_is_weaker():
    found = _found([(20.0, 7.0), (8.0, 12.0)], noise=10.0)
    assert [axis["real"] for axis in found["axes"]] == [True, False]
    assert any(line.startswith("Beware") for line in verdict(found))
    assert not axis_is_real({"significance": 9.0, "resolution": None}, None)


@pytest.mark.parametrize(("width", "words"), [(3.0, "3.0 times too small"), (0.5, "2.0 times too large"), (1, "right")])
def test_the_width_of_the_posterior(width: float, words: str):
    assert any(words in line for line in verdict(_found([(20.0, 7.0)], calibration={"width": width})))


def test_places_that_are_not_to_be_trusted():
    found = _found([(20.0, 7.0)])
    found["axes"][0]["order"] = {"spearman": -0.2, "population_difference": 0.1}
    text = " ".join(verdict(found))
    assert "rank correlation of 0.20" in text
    assert "not to be trusted" in text


def test_kept_stages_are_not_computed_again(tmp_path: Path):
    kept, calls = Kept(tmp_path / "stages"), []

    def make() -> dict[str, Any]:
        calls.append(1)
        return {"value": np.float32(1.5), "bad": float("inf")}

    assert kept.record("one", ["key", 1], make) == {"value": 1.5, "bad": None}
    assert kept.record("one", ["key", 1], make) == {"value": 1.5, "bad": None}
    assert len(calls) == 1
    kept.record("one", ["key", 2], make)
    assert len(calls) == 2
    (tmp_path / "stages" / "one.json").write_text('{"key": ')  # half a file
    kept.record("one", ["key", 2], make)
    assert len(calls) == 3
    first = kept.arrays("two", 1, lambda: {"a": np.arange(3)})
    second = kept.arrays("two", 1, lambda: {"a": np.arange(4)})
    np.testing.assert_array_equal(first["a"], second["a"])
    assert len(kept.arrays("two", 2, lambda: {"a": np.arange(4)})["a"]) == 4
