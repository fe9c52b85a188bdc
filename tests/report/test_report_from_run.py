"""A run folder becomes a report: whole, half empty, and without its particles."""

import dataclasses
import re

import numpy as np
import pytest
import starfile
import torch

from hypermol.errors import DataError
from hypermol.landscape import LandscapeSettings, analyze, save_landscape, write_maps
from hypermol.maps import write_map
from hypermol.methods import configured, find_method, train
from hypermol.report import MapSeries, ReportData, report_of, report_run
from hypermol.report.sections.conformations import conformations_section
from hypermol.report.sections.local_resolution import local_resolution_section
from hypermol.report.sections.motion import motion_section
from hypermol.report.sections.resolution import resolution_section
from hypermol.runs import Run
from hypermol.simulation import Recipe, simulate
from hypermol.specs import to_dict

COUNT, BOX = 120, 16


def ball(z):
    grid = np.arange(BOX) - BOX // 2
    square = grid[:, None, None] ** 2 + grid[:, None] ** 2 + (grid - z[:, :1, None, None]) ** 2
    return np.exp(-square / 8).astype(np.float32)


@pytest.fixture
def run(tmp_path):
    """A finished run whose particles have since been removed."""
    given = {"particles": str(tmp_path / "gone.star"), "fingerprint": "0", "passthrough": [], "count": COUNT}
    given |= {"images": COUNT, "box": BOX, "pixel_size": 2.0}
    method = {"room": "method", **to_dict(find_method("cryodrgn"))}
    made = Run.create(
        tmp_path / "run", {"seed": 4, "method": method, "input": given, "versions": {"hypermol": "0.1.0"}}
    )
    for number in range(5):
        row = {"event": "pass", "phase": "train", "pass": number, "loss": 5.0 / (1 + number), "divergence": number}
        made.append_log({**row, "seconds": 12.0, "images_per_second": 10.0})
    made.append_log({"event": "note", "text": "2 of 6 components kept"})
    made.volumes.mkdir()
    for name in ("map-at-median-z", "half2", "consensus", "half1", "mask"):
        write_map(made.volumes / f"{name}.mrc", torch.from_numpy(ball(np.zeros((1, 1)))[0]), 2.0)
    return made


@pytest.fixture(scope="module")
def backprojected(tmp_path_factory):
    """A real back projection, with the names that it gives its maps, curves and figures."""
    folder = tmp_path_factory.mktemp("backprojected")
    simulate(Recipe(name="homogeneous", n=150, box=24, snr=1.0, seed=2), folder / "data")
    return train(folder / "data" / "particles.star", find_method("backprojection"), folder / "run", seed=1)


@pytest.fixture
def z():
    return np.random.default_rng(0).normal(size=(COUNT, 2)) * [2, 1]


def finish(run):
    run.append_log({"event": "finished"})


def test_a_whole_run_shows_everything(run, z):
    finish(run)
    rotation = np.tile(np.eye(3), (COUNT, 1, 1))
    run.save_estimates({"z": z, "rotation": rotation, "half": np.zeros(COUNT, int)})
    curves = {"unmasked": np.linspace(1, 0, 8), "randomised": np.zeros(8), "masked": np.linspace(1, 0.1, 8)}
    run.save_curves({f"fsc_{name}": curve for name, curve in curves.items()})
    run.save_metrics({"|Spearman| of best direction": {"value": 0.9312, "unit": "", "how": "half by half"}})
    landscape = analyze(z, settings=LandscapeSettings(clusters=3, points=4))
    save_landscape(landscape, run.landscape)
    write_maps(landscape, run.landscape, ball, 2.0)
    data = report_of(run)
    assert data.title == "cryodrgn on gone.star"
    assert [series.name for series in data.motions] == ["graph", "pc1", "pc2", "straight"]
    np.testing.assert_allclose(data.motions[0].maps[2], ball(landscape.paths[0].z[2:3])[0], rtol=1e-4)
    np.testing.assert_allclose(data.motions[0].coordinates, landscape.components.project(landscape.paths[0].z))
    assert data.states.caption(1).startswith("cluster 1: ")
    assert data.maps[0].captions == ("consensus", "at the median z", "half map 1", "half map 2")
    assert [(curve.label, curve.threshold) for curve in data.fsc] == [
        ("masked", 0.143), ("unmasked", 0.143), ("phase-randomised", None),
    ]  # fmt: skip
    assert data.fsc[0].width == BOX * 2.0
    assert data.figures[0].value == "0.9312"
    assert ("Seed", "4") in data.facts
    assert ("Found", "2 of 6 components kept") in data.facts
    assert ("Time", "1.0 min, 5 passes over the particles") in data.facts
    assert not data.warnings
    assert "no longer there" in data.absent[0]
    page = report_run(run).read_text()
    assert (run.path / "report.html").exists()
    anchors = re.findall(r'<section id="([a-z]+)">', page)
    assert {"motion", "landscape", "states", "maps", "resolution", "poses", "learning", "settings"} <= set(anchors)


def test_an_unfinished_run_says_so(run):
    run.append_log({"event": "skipped", "reason": "the loss is not finite"})
    data = report_of(run)
    assert "has not finished" in data.warnings[0]
    assert data.warnings[1] == "1 batch was skipped in training: the loss is not finite."
    assert any("one map for all particles" in sentence for sentence in data.absent)
    assert report_run(run, run.path / "other.html").name == "other.html"


def test_a_run_that_was_not_analysed_says_how(run, z):
    finish(run)
    run.save_estimates({"z": z})
    assert any("hypermol analyze" in sentence for sentence in report_of(run).absent)
    save_landscape(analyze(z), run.landscape)
    data = report_of(run)
    assert data.landscape is not None
    assert not data.motions
    assert any("No maps along the landscape" in sentence for sentence in data.absent)


def test_a_true_coordinate_can_be_shown(run, z, tmp_path):
    np.savez(tmp_path / "truth.npz", conformation=z[:, :1])
    data = report_of(run)
    assert [column.label for column in data.columns] == ["True coordinate"]
    np.savez(tmp_path / "truth.npz", conformation=z[:5])
    assert not report_of(run).columns
    (tmp_path / "truth.npz").write_bytes(b"")
    data = report_of(run)
    assert not data.columns
    assert any("truth.npz cannot be read" in sentence for sentence in data.absent)


def test_damaged_results_are_named(run, z):
    finish(run)
    run.save_estimates({"z": z})
    (run.path / "metrics.json").write_text("{")
    with pytest.raises(DataError, match=r"metrics\.json"):
        report_of(run)
    (run.path / "metrics.json").unlink()
    (run.path / "estimates.npz").write_bytes(b"")
    with pytest.raises(DataError, match=r"estimates\.npz"):
        report_of(run)


def test_large_maps_are_shown_smaller_with_their_true_sizes(run, z):
    for name in ("map-at-median-z", "half2", "consensus", "half1", "mask"):
        (run.volumes / f"{name}.mrc").unlink()
    write_map(run.volumes / "map.mrc", torch.randn(160, 160, 160), 1.25)
    series = report_of(run).maps[0]
    assert series.maps[0].shape == (128,) * 3
    assert series.box == 160
    assert series.width == pytest.approx(200.0)
    assert series.pixel_size == pytest.approx(200 / 128)


def test_the_curves_of_a_back_projection_have_human_names(backprojected):
    data = report_of(backprojected)
    stored = backprojected.curves()
    assert [(curve.label, curve.threshold) for curve in data.fsc] == [
        ("corrected for the mask", 0.143), ("masked", 0.143), ("unmasked", 0.143), ("phase-randomised", None),
    ]  # fmt: skip
    np.testing.assert_array_equal(data.fsc[3].fsc, stored["fsc_randomised"])
    table = resolution_section(data).body
    assert "masked" in table
    assert "phase-randomised" not in table  # it is drawn, and has no resolution
    assert "fsc_" not in re.sub(r"<script.*?</script>", "", report_run(backprojected).read_text(), flags=re.DOTALL)


def test_a_back_projection_is_one_map_at_rest(backprojected):
    data = report_of(backprojected)
    assert data.maps[0].captions == ("consensus", "unfiltered", "half map 1", "half map 2")
    section = motion_section(data)
    assert section.title == "The map"
    assert "Shown: consensus." in section.body
    assert "data-frame" not in section.body
    assert "Path" not in section.body
    (scene,) = section.data["scenes"]
    assert len(scene["frames"]) == 1
    alone = motion_section(
        ReportData("alone", maps=(MapSeries("c", "C", data.maps[0].maps[:1], data.maps[0].pixel_size),))
    )
    assert scene["level"] == alone.data["scenes"][0]["level"]
    assert scene["step"] == alone.data["scenes"][0]["step"]
    page = report_run(backprojected).read_text()
    assert "in motion" not in re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    assert "half map 2" in page  # among the maps of the run


def test_the_fitted_map_comes_before_the_consensus(run):
    (run.volumes / "map-at-median-z.mrc").rename(run.volumes / "map.mrc")
    assert report_of(run).maps[0].captions == ("map", "consensus", "half map 1", "half map 2")


def test_what_was_not_reached_is_said_in_words(run):
    run.save_metrics({"resolution_masked": {"value": np.inf, "unit": "Å", "how": "at 0.143"}})
    run.save_metrics({"rank correlation": {"value": np.nan, "unit": "", "how": ""}})
    shown = {figure.label: figure.value for figure in report_of(run).figures}
    assert shown == {"resolution masked": "not reached", "rank correlation": "no value"}


def test_a_family_that_belongs_to_no_particle_moves(run):
    """Maps along z and no z of any particle: a motion, two matrices, and why there is no landscape."""
    for number, map_ in enumerate(ball(np.arange(4.0)[:, None])):
        write_map(run.volumes / f"conformation-{number:02d}.mrc", torch.from_numpy(map_), 2.0)
    run.save_matrices({"fsccc": np.eye(4), "fsccc_true": np.ones((4, 4))})
    data = report_of(run)
    assert len(data.motions[0].maps) == 4
    assert all("conformation" not in caption for series in data.maps for caption in series.captions)
    assert any("places no particle along z" in words for words in data.absent)
    section = conformations_section(data)
    assert set(section.data["charts"]) == {"fsccc", "fsccc_true"}
    assert section.data["charts"]["fsccc_true"]["data"][0]["zmin"] == 0.0  # one scale for both
    assert conformations_section(ReportData("nothing")) is None


def test_local_resolution_is_shown_where_there_is_one(run):
    assert report_of(run).local_resolution is None
    angstrom = np.where(ball(np.zeros((1, 1)))[0] > 0.3, 7.5, 0.0).astype(np.float32)
    angstrom[8, 8, 8] = 12.5
    write_map(run.volumes / "local-resolution.mrc", torch.from_numpy(angstrom), 2.0)
    data = report_of(run)
    section = local_resolution_section(data)
    assert "better than 7.5 Å" in section.body
    assert "data:image/png" in section.body
    assert all("local" not in caption for series in data.maps for caption in series.captions)
    nothing = dataclasses.replace(data.local_resolution, angstrom=np.zeros_like(angstrom))
    assert local_resolution_section(dataclasses.replace(data, local_resolution=nothing)) is None
    write_map(run.volumes / "local-resolution.mrc", torch.zeros(8, 8, 8) + 1, 2.0)
    with pytest.raises(DataError, match="a box of 8 px, but consensus"):
        report_of(run)


def test_poses_that_were_found_are_not_missed(tmp_path):
    """A file without poses, through a method that finds them and one that was stopped before."""
    simulate(Recipe(name="homogeneous", n=60, box=16, snr=1.0, seed=2), tmp_path / "data")
    star = tmp_path / "data" / "particles.star"
    blocks = starfile.read(star, always_dict=True)
    rows = blocks["particles"]
    blocks["particles"] = rows.drop(columns=[name for name in rows if name.startswith(("rlnAngle", "rlnOrigin"))])
    starfile.write(blocks, star, overwrite=True)
    few = {"starts": 1, "images": 20, "first_shells": 3, "last_shells": 4, "search_passes": 1, "local_passes": 1}
    run = train(star, configured(find_method("abinitio"), {**few, "kept": 2}), tmp_path / "run", seed=0)
    assert not any("no poses" in words for words in report_of(run).warnings)
    (run.path / "estimates.npz").unlink()
    assert any("no poses" in words for words in report_of(run).warnings)
