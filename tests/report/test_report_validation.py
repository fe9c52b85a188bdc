"""The section on validation: verdict first, figures as they stand in validation.json, whatever was left out."""

import copy
import json
import re

import numpy as np
import pytest
import torch

from hypermol.maps import write_map
from hypermol.methods import find_method
from hypermol.report import ReportData, ValidationShown, render, report_of
from hypermol.report.sections.overview import overview_section
from hypermol.report.sections.validation import validation_section
from hypermol.runs import Run
from hypermol.specs import to_dict

BOX, PIXEL = 16, 3.0
SHELLS = np.arange(BOX // 2)


def scaled(value, share):
    return {"value": value, "same": 0.06, "same_95": 0.14, "chance": 0.94, "chance_5": 0.78, "share": share}


def order(rank):
    return {
        "spearman": rank, "states_agree": 0.61, "states_by_chance": 0.34, "population_difference": 0.042,
        "populations": [[0.3, 0.4, 0.3], [0.28, 0.38, 0.34]],
        "distance": 0.071, "distance_by_chance": 0.05, "distance_by_chance_95": 0.08,
    }  # fmt: skip


def axis(number, significance, resolution, real):
    curve = np.clip(1 - SHELLS / (8 if real else 2), -0.1, 1).tolist()
    return {
        "axis": number, "significance": significance, "resolution": resolution, "real": real, "curve": curve,
        "shape_share": 0.9, "pose_and_ctf": 0.01, "order": order(-0.83 if real else 0.1),
    }  # fmt: skip


@pytest.fixture
def found():
    """What a whole validation says."""
    state = {"particles": [334, 333], "resolution": 12.5, "curve": [1.0] * 8}
    return {
        "format": 1, "method": "cryodrgn", "latent": True, "particles": [1000, 1001], "motion": True,
        "verdict": ["Motion along axis 1 reproduces to 9.1 Å; axis 2 does not.", "Noise finds <nothing>."],
        "still": {"map": "back projection", "resolution": 6.9, "curve": np.linspace(1, 0, 8).tolist()},
        "axes": [axis(1, 27.4, 9.1, True), axis(2, -1.2, None, False)],
        "noise": {"significance": 1.7}, "states": [{"name": "state-0", **state}, {"name": "random-third", **state}],
        "held_out": {"still": {"gain": 3.21, "error": 0.4, "share": 0.7}},
        "calibration": {"width": 1.4, "within_one_sigma": 0.6, "used": 2},
        "amortisation": {"gap": 2.5, "error": 0.3, "particles": 100, "moved": 0.1},
        "landscape_maps": {"maps": [80, 80], "wasserstein": scaled(0.183, 0.127), "quantiles": scaled(0.1, None),
        "gromov": None},
        "sensitivity": [{"changed": "seed 1100", "significance": 21.5, "resolution": 9.4, "order": 0.93}],
        "agreement": [{"runs": ["/a/one", "/b/two"], "axes": [{"correlation": 0.77, "spearman": 0.76}]}],
    }  # fmt: skip


def section_of(found, **more):
    return validation_section(ReportData("a run", validation=ValidationShown(found, BOX * PIXEL, **more)))


def test_the_verdict_comes_first_and_every_figure_is_shown(found):
    section = section_of(found)
    words = re.sub(r"<[^>]+>", " ", section.body)
    assert words.split("real", 1)[1].strip().startswith("Motion along axis 1 reproduces to 9.1 Å")
    assert "Noise finds &lt;nothing&gt;." in section.body
    for figure in ("12.5 Å or better (never below)", "6.9 Å", "0.83", "61 %", "4.2 %", "0.071 σ", "+3.21 ± 0.40 nats",
                   "1.40 ×", "2.50 ± 0.30 nats", "seed 1100", "9.4 Å", "one and two", "0.77",
                   "0.183", "13 %"):  # fmt: skip
        assert figure in words, figure
    assert set(section.data["charts"]) == {"axes", "chance", "states", "populations", "landscapes"}


def test_charts_hold_the_numbers(found):
    charts = section_of(found).data["charts"]
    bars = charts["chance"]["data"][0]
    assert dict(zip(bars["y"], bars["x"])) == {
        "axis 1": 27.4, "axis 2": -1.2, "noise for images": 1.7, "seed 1100": 21.5,
    }  # fmt: skip
    assert charts["chance"]["layout"]["shapes"][0]["x0"] == 5
    assert charts["chance"]["layout"]["xaxis"]["range"][0] < -1.2
    first = charts["axes"]["data"][0]
    np.testing.assert_allclose(first["x"], SHELLS[1:] / (BOX * PIXEL), rtol=1e-5)  # 1/Å, shell s at s / (D p)
    np.testing.assert_allclose(first["y"], found["axes"][0]["curve"][1:], rtol=1e-5)
    same, unrelated, dots = charts["landscapes"]["data"]
    assert dict(zip(dots["y"], dots["x"])) == {
        "Maps of the particles (2-Wasserstein)": 0.183, "Mean maps along the largest motion": 0.1,
    }  # fmt: skip
    assert (same["x"][:2], unrelated["x"][:2]) == ([0.06, 0.14], [0.78, 0.94])
    assert [trace["y"] for trace in charts["populations"]["data"]] == [[30, 40, 30], [28, 38, 34]]


@pytest.mark.parametrize(
    "absent",
    [
        ("noise",),
        ("states",),
        ("held_out", "calibration", "amortisation"),
        ("sensitivity",),
        ("agreement",),
        ("axes",),
        ("landscape_maps",),
    ],
)
def test_what_was_left_out_is_left_out(found, absent):
    for name in absent:
        found[name] = [] if isinstance(found[name], list) else None
        found.pop("landscape_maps", None)  # as in a validation of before it was measured
    assert render(ReportData("a run", validation=ValidationShown(found, BOX * PIXEL)))


def test_a_closed_form_method_and_one_map(found):
    for each in found["axes"]:
        each["order"] = None
    assert "populations" not in section_of(found).data["charts"]
    kept = {name: found[name] for name in ("format", "method", "particles", "still")}
    one = section_of({**kept, "latent": False, "motion": False, "verdict": ["This method makes one map."]})
    assert set(one.data["charts"]) == {"states"}
    assert "mark" not in one.body
    assert "The map, half against half" in one.body


def test_no_motion_is_said(found):
    found |= {"motion": False, "verdict": ["No motion is shown."]}
    assert "not shown" in section_of(found).body


def test_the_overview_tells_the_verdict(found):
    data = ReportData("a run", validation=ValidationShown(found, BOX * PIXEL))
    assert "Motion along axis 1 reproduces to 9.1 Å" in overview_section(data).body
    assert validation_section(ReportData("a run")) is None


@pytest.fixture
def run(tmp_path):
    given = {"particles": str(tmp_path / "gone.star"), "fingerprint": "0", "passthrough": [], "count": 9}
    given |= {"images": 9, "box": BOX, "pixel_size": PIXEL}
    method = {"room": "method", **to_dict(find_method("cryodrgn"))}
    made = Run.create(tmp_path / "run", {"seed": 4, "method": method, "input": given})
    made.append_log({"event": "finished"})
    return made


def test_from_a_run_folder(run, found):
    assert any("hypermol validate" in words for words in report_of(run).absent)
    folder = run.path / "validation" / "volumes"
    folder.mkdir(parents=True)
    (run.path / "validation" / "validation.json").write_text(json.dumps(found))
    shown = report_of(run).validation
    assert shown.width == BOX * PIXEL
    assert shown.changes is None  # its maps are not there
    maps = [torch.randn(BOX, BOX, BOX, generator=torch.Generator().manual_seed(half)) for half in range(2)]
    for half, volume in enumerate(maps, start=1):
        write_map(folder / f"axis-1-half{half}.mrc", volume, PIXEL)
    changes = report_of(run).validation.changes
    assert changes.captions == ("from half 1", "from half 2", "mean of both")
    np.testing.assert_allclose(changes.maps[2], (changes.maps[0] + changes.maps[1]) / 2, atol=1e-5)
    spectrum = np.abs(np.fft.fftn(changes.maps[0]))
    assert spectrum[7, 0, 0] < np.abs(np.fft.fftn(maps[0].numpy()))[7, 0, 0]  # shell 7, where the halves agree least
    assert "Is the motion real?" in render(report_of(run))


@pytest.mark.parametrize("content", ["{", "[]", '{"format": 99}'])
def test_a_validation_that_cannot_be_read_is_said(run, content):
    (run.path / "validation").mkdir()
    (run.path / "validation" / "validation.json").write_text(content)
    data = report_of(run)
    assert data.validation is None
    assert any("validation.json" in words for words in data.absent)


def test_the_data_are_not_changed(found):
    before = copy.deepcopy(found)
    section_of(found)
    assert found == before
