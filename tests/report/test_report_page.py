"""The page as text: whole, safe, within its size, and complete about what is missing."""

import dataclasses
import json
import re

import numpy as np
import pytest

from hypermol.landscape import analyze
from hypermol.report import ReportData, render, write_report
from hypermol.report.markup import bullets, json_script, packed, paragraph, prose
from hypermol.report.sections.latent import landscape_section
from hypermol.report.sections.leakage import leakage_section
from hypermol.report.sections.overview import summary_sentence


def without_scripts(page):
    return re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)


@pytest.fixture(scope="module")
def page(report_data):
    return render(report_data)


def test_it_is_one_file_of_bearable_size(page, report_data, tmp_path):
    path = write_report(report_data, tmp_path / "report.html")
    assert path.read_text() == page
    assert len(page.encode()) < 15e6
    markup = without_scripts(page)
    assert not re.search(r'(src|href)="(?!data:|#)', markup)
    assert "@import" not in markup
    assert "url(" not in markup
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_the_same_data_give_the_same_page(page, report_data):
    assert render(report_data) == page


def test_every_section_is_there_and_in_the_navigation(page):
    anchors = re.findall(r'<section id="([a-z]+)">', page)
    assert anchors == [
        "overview", "motion", "landscape", "states", "leakage", "maps", "resolution", "poses", "learning", "settings",
    ]  # fmt: skip
    assert re.findall(r'<a href="#([a-z]+)">', page) == anchors


def test_what_matters_is_said(page, report_data):
    shown = without_scripts(page)
    for words in (
        "3,000 particles were placed in a landscape of 4 dimensions",
        "12 particles were skipped",
        "No UMAP",
        "4 Å/px",
        "20 Å",
        "half maps of shared poses",
        "The loss has levelled off",
        "hidden = [256, 256, 256]",
        "96 of 100",
    ):
        assert words in shown, words
    for item in report_data.landscape.leakage:
        assert item.sentence.split(" (")[0] in shown.replace("&lt;", "<")


def test_commands_in_sentences_are_set_as_code():
    said = prose("run `hypermol analyze <run>` & look")
    assert said == "run <code>hypermol analyze &lt;run&gt;</code> &amp; look"
    assert said in paragraph("run `hypermol analyze <run>` & look")
    assert said in bullets(["run `hypermol analyze <run>` & look"])


def test_clear_leakage_is_a_warning(page, report_data):
    warned = re.search(r'<div class="warning".*?</div>', page, re.DOTALL).group()
    assert report_data.landscape.warnings
    for sentence in report_data.landscape.warnings:
        assert sentence.split(" (")[0] in warned


def test_notes_go_by_what_they_are_and_not_by_their_words(report_data):
    notes = {"notes": ("No leakage of density.",), "leakage_notes": ("The ice was not measured.",)}
    found = dataclasses.replace(report_data.landscape, **notes)
    data = dataclasses.replace(report_data, landscape=found)
    assert notes["notes"][0] in landscape_section(data).body
    assert notes["leakage_notes"][0] in leakage_section(data).body
    assert notes["notes"][0] not in leakage_section(data).body


def test_names_from_files_cannot_become_markup():
    odd = '<img src=x onerror="alert(1)">'
    page = render(ReportData(odd, facts=((odd, odd),), warnings=(odd,), absent=(odd,), settings=odd, version=odd))
    assert odd not in page
    assert page.count("&lt;img") >= 7
    held = json_script("x", {"name": "</script><!--"})
    assert held.count("</script>") == 1
    assert json.loads(re.search(r">(.*)</script>", held).group(1)) == {"name": "</script><!--"}


def test_numbers_reach_the_scripts_as_they_are():
    values = np.array([[1.5, np.nan], [-np.inf, 3.0]])
    text = json_script("x", {"a": values, "b": np.int64(4), "c": (np.float32(0.5), None)})
    assert json.loads(re.search(r">(.*)</script>", text).group(1)) == {
        "a": [[1.5, None], [None, 3.0]],
        "b": 4,
        "c": [0.5, None],
    }
    import base64

    coded = packed(values)
    assert coded["shape"] == [2, 2]
    np.testing.assert_array_equal(np.frombuffer(base64.b64decode(coded["base64"]), "<f4").reshape(2, 2), values)
    assert packed(np.arange(3))["kind"] == "i4"
    assert packed(np.arange(3, dtype=np.uint8))["kind"] == "u1"


@pytest.mark.parametrize(
    ("z", "words"),
    [
        (np.ones((60, 2)), "share one conformation"),
        (np.random.default_rng(0).normal(size=19), "They are too few to tell separate groups from a continuum."),
        (np.random.default_rng(0).normal(size=300), "a landscape of one dimension. They form one continuum"),
        (np.r_[np.zeros(200), np.full(200, 20.0)] + np.random.default_rng(0).normal(size=400), "2 separate groups"),
    ],
)
def test_landscapes_are_summed_up_in_a_sentence(z, words):
    data = ReportData("run", landscape=analyze(z))
    assert words in summary_sentence(data)
    assert "There is nothing to draw" in render(data) or "data-scatter" in render(data)


def test_a_run_without_landscape_has_no_such_section():
    page = render(ReportData("run", absent=("This method infers no z.",)))
    assert re.findall(r'<section id="([a-z]+)">', page) == ["overview"]
    assert "This method infers no z." in page
    assert "Plotly" not in page.split('id="report-data"')[0]
