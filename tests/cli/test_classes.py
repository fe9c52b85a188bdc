"""A run of classes through the commands that come after it: its own classes are what they speak of."""

import csv
from pathlib import Path

import numpy as np
import pytest
from commands import done, refused

from hypermol.particles import read_particles
from hypermol.runs import Run


@pytest.fixture(scope="module")
def sorted_run(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("classes") / "run"
    done("train", made / "particles.star", "-o", run, "-m", "classify", "--set", "classes=2")
    said = done("analyze", run).out
    counts = np.bincount(Run.open(run).estimates()["class"], minlength=2)
    assert f"classes 1 to 2 hold {counts[0]}, {counts[1]} particles" in said
    assert "--class 1 -o class1.star" in said
    return run


def test_select_a_class(sorted_run: Path, made: Path, tmp_path: Path) -> None:
    known, whole = Run.open(sorted_run).estimates(), read_particles(made / "particles.star")
    asked = {
        ("--class", "2"): known["class"] == 1,
        ("--class", "1", "--within", "class-1=0.9:"): known["class_probability"][:, 0] >= 0.9,
    }
    for number, (conditions, wanted) in enumerate(asked.items()):
        assert 0 < wanted.sum() < whole.count
        done("select", sorted_run, *conditions, "-o", tmp_path / f"{number}.star")
        found = read_particles(tmp_path / f"{number}.star", datadir=made)
        np.testing.assert_array_equal(found.image_index, whole.image_index[wanted])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--class", "0"), ["no class 0", "1 to 2"]),
        (("--class", "1-3"), ["no class 3", "1 to 2"]),
        (("--class", "one"), ["expected class numbers from 1, such as 1,3,6-8"]),
        (("--cluster", "0"), ["give --class"]),
        (("--within", "class=1:1"), ["no 'class'", "class-1, class-2"]),
    ],
)
def test_select_refuses(sorted_run: Path, tmp_path: Path, arguments: tuple, words: list[str]) -> None:
    refused("select", sorted_run, *arguments, "-o", tmp_path / "x.star", words=words)
    assert list(tmp_path.iterdir()) == []


def test_a_run_without_classes_says_so(made: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    done("train", made / "particles.star", "-o", run, "-m", "backprojection")
    refused("select", run, "--class", "1", "-o", tmp_path / "x.star", words=["infers nothing per particle"])


def test_tables_maps_and_report_count_classes_from_1(sorted_run: Path, tmp_path: Path) -> None:
    known = Run.open(sorted_run).estimates()["class"]
    with (sorted_run / "landscape" / "particles.csv").open() as table:
        assert [int(row["cluster"]) for row in csv.DictReader(table)] == list(known + 1)
    done("volumes", sorted_run, "--states", "-o", tmp_path / "maps")
    assert {path.name for path in (tmp_path / "maps").iterdir()} == {"class-1.mrc", "class-2.mrc"}
    done("report", sorted_run)
    page = (sorted_run / "report.html").read_text()
    assert "80 particles were sorted into 2 classes, of" in page
    assert "Maps of the classes" in page
    assert f"class 1: {(known == 0).sum()} particles" in page
    assert "continuum" not in page
