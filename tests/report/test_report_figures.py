"""Pictures, curves and sentences: each number by a second route."""

import io

import numpy as np
import pytest
from PIL import Image
from scipy.spatial.transform import Rotation

from hypermol.landscape import analyze
from hypermol.report import FscCurve, MapSeries, ReportData
from hypermol.report.pictures import contact_sheet, crop_half_width, jpeg_grey, scale_length, view
from hypermol.report.sections.coverage import cell_counts, cell_order, coverage_section, coverage_sentence, smoothed
from hypermol.report.sections.latent import euler_columns, landscape_section, shown_particles
from hypermol.report.sections.learning import convergence_sentence, learning_section
from hypermol.report.sections.resolution import resolution_section, resolution_words


def test_projections_and_slices_have_their_axes_where_they_are_said_to_be():
    volume = np.zeros((16, 16, 16), np.float32)
    volume[8 + 5, 8 + 3, 8 + 1] = 2.0  # z = 5, y = 3, x = 1
    for axis, (up, right) in enumerate(((3, 1), (5, 1), (5, 3))):
        image = view(volume, "projection", axis, 8)
        assert np.argwhere(image).tolist() == [[8 + up, 8 + right]]
        shown = np.asarray(Image.open(io.BytesIO(jpeg_grey(image, 0.0, 2.0, size=16))))
        assert np.argwhere(shown > 150).tolist() == [[15 - 8 - up, 8 + right]]
    assert view(volume, "slice", 0, 8).max() == 0
    volume[8, 2, 9] = 1
    assert view(volume, "slice", 0, 8)[2, 9] == 1


def test_cropped_views_keep_the_origin_and_the_molecule():
    grid = np.arange(48) - 24
    ball = (grid[:, None, None] ** 2 + (grid[:, None] - 4) ** 2 + grid**2 < 25).astype(np.float32)
    half = crop_half_width([ball, ball])
    assert 9 < half < 18
    image = view(ball, "projection", 0, half)
    assert image.shape == (2 * half, 2 * half)
    assert image.sum() == ball.sum()
    row, column = (np.argwhere(image).mean(axis=0)).round().astype(int)
    assert (row, column) == (half + 4, half)


@pytest.mark.parametrize(("width", "length"), [(128, 20), (100, 20), (81, 20), (79, 10), (800, 200), (12, 2), (4.1, 1)])
def test_scale_bars_are_round(width, length):
    assert scale_length(width) == length


def test_the_scale_bar_is_as_long_as_it_says():
    volume = np.zeros((32, 32, 32), np.float32)
    volume[4:28, 4:28, 4:28] = 1
    sheet = contact_sheet(MapSeries("m", "Map", [volume], 2.5))
    assert "20 Å" in sheet
    assert "width:25.00%" in sheet
    assert "Box 32 px at 2.5 Å/px (80 Å), whole box shown." in sheet


def test_resolution_is_read_between_shells():
    curve = FscCurve("half", np.array([1, 0.9, 0.6, 0.2, 0.1, 0.0]), pixel_size=2.0, threshold=0.143)
    assert resolution_words(curve) == f"{24 / (3 + 0.57):.1f} Å" == "6.7 Å"
    never = FscCurve("half", np.full(6, 0.9), 2.0)
    assert resolution_words(never) == "4.8 Å or better (never below)"
    assert resolution_words(FscCurve("half", np.r_[1.0, np.zeros(5)], 2.0)) == "not resolved"
    unread = FscCurve("random", np.zeros(6), 2.0, threshold=None)
    assert resolution_words(unread) == ""
    section = resolution_section(ReportData("run", fsc=(curve, unread)))
    assert "6.7 Å" in section.body
    assert "random" not in section.body
    assert [trace["name"] for trace in section.data["charts"]["fsc"]["data"]] == ["half", "random"]
    ticks = section.data["charts"]["fsc"]["layout"]["xaxis"]
    np.testing.assert_allclose(ticks["tickvals"], [1 / float(word) for word in ticks["ticktext"]])


def test_views_are_counted_in_equal_areas():
    rotation = Rotation.random(30_000, random_state=0).as_matrix()
    direction = rotation[:, 2, :]
    assert cell_order(30_000) == 4
    counts = cell_counts(direction, 2)
    assert counts.sum() == 30_000
    assert abs(counts - counts.mean()).max() < 5 * np.sqrt(counts.mean())
    assert "No side" in coverage_sentence(counts)
    _, latitude, density = smoothed(cell_counts(direction, 4), 15.0)
    assert np.average(density, weights=np.cos(latitude)) == pytest.approx(1, abs=0.02)
    np.testing.assert_allclose(density, 1, atol=0.3)


def test_missing_and_preferred_views_are_said():
    random = np.random.default_rng(0)
    direction = Rotation.random(20_000, random_state=1).as_matrix()[:, 2, :]
    cap = direction[np.abs(direction[:, 2]) > 0.6]
    assert "seen by no particle" in coverage_sentence(cell_counts(cap, 2))
    one_side = direction[direction[:, 2] > 0]
    assert "No side" in coverage_sentence(cell_counts(one_side, 2))
    crowd = np.array([0.0, 0, 1]) + 0.2 * random.normal(size=(20_000, 3))
    crowd /= np.linalg.norm(crowd, axis=1, keepdims=True)
    assert "uneven" in coverage_sentence(cell_counts(np.concatenate([direction, crowd]), 2))
    longitude, latitude, density = smoothed(cell_counts(np.tile([[0.0, 1.0, 0.0]], (50, 1)), 4), 15.0)
    top = np.unravel_index(density.argmax(), density.shape)
    assert np.degrees(longitude[top]) == pytest.approx(90, abs=5)
    assert np.degrees(latitude[top]) == pytest.approx(0, abs=5)
    assert coverage_section(ReportData("run")) is None
    assert coverage_section(ReportData("run", estimates={"rotation": np.full((4, 3, 3), np.nan)})) is None


def test_euler_columns_agree_with_scipy():
    euler = np.random.default_rng(0).uniform([-180, 5, -180], [180, 175, 180], (40, 3))
    rotation = Rotation.from_euler("ZYZ", euler, degrees=True).inv().as_matrix()
    rot, tilt, psi = (column.values for column in euler_columns(rotation))
    np.testing.assert_allclose(np.stack([rot, tilt, psi], 1), euler, atol=1e-9)


def test_large_landscapes_are_thinned_but_keep_their_centres():
    landscape = analyze(np.random.default_rng(0).normal(size=(3000, 2)))
    rows = shown_particles(landscape, 500)
    assert len(rows) == len(set(rows)) == 500
    assert set(landscape.clusters.particle) <= set(rows)
    np.testing.assert_array_equal(rows, shown_particles(landscape, 500))
    assert len(shown_particles(landscape)) == 3000


def test_columns_of_another_length_are_not_shown():
    landscape = analyze(np.random.default_rng(0).normal(size=(60, 2)))
    section = landscape_section(ReportData("run", landscape=landscape, defocus=np.zeros(3), micrograph=np.zeros(3)))
    assert [colour["name"] for colour in section.data["colours"]] == ["cluster"]
    assert "micrographs" not in section.data


@pytest.mark.parametrize(
    ("loss", "words"),
    [
        (np.exp(-np.arange(30) / 3.0), "levelled off"),
        (10.0 - np.arange(30), "still falling"),
        (np.r_[5, 4, 3, 2, 1, 1.5], "rose at the end"),
        (np.arange(9.0), "never fell"),
        ([2.0, 1.0], "too few"),
        ([], ""),
        (np.r_[np.nan, np.exp(-np.arange(30) / 3.0)], "levelled off"),
    ],
)
def test_convergence_is_put_in_words(loss, words):
    assert words in convergence_sentence(loss)


def test_learning_takes_what_the_log_holds():
    rows = [{"event": "pass", "phase": phase, "pass": n, "loss": 5.0 - n} for n, phase in enumerate("aabb")]
    section = learning_section(ReportData("run", log=[{"event": "skipped"}, *rows]))
    assert list(section.data["charts"]) == ["loss"]
    chart = section.data["charts"]["loss"]
    assert chart["data"][0]["y"] == [5.0, 4.0, 3.0, 2.0]
    assert [note["text"] for note in chart["layout"]["annotations"]] == ["a", "b"]
    assert chart["layout"]["shapes"][1]["x0"] == 1.5
    assert learning_section(ReportData("run", log=[{"event": "pass", "loss": None}])) is None
