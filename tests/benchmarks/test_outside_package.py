"""What the page on extending says, done: its files become a package with entry points, found, run and rebuilt; and
broken announcements are warnings."""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from hypermol import specs
from hypermol.benchmarks import PROBLEMS, find_problem
from hypermol.errors import ConfigError
from hypermol.methods import METHODS, find_method
from hypermol.plugins import OutsideWarning
from hypermol.simulation import GAIN

PAGE = Path(__file__).resolve().parents[2] / "docs" / "extending.md"
BLOCK = re.compile(r"^## [^\n]*`([\w.]+)`\n.*?```\w+\n(.*?)```", re.M | re.S)


def install(folder, name, modules, entries):
    """What an installer leaves: modules, and a .dist-info folder with the entry points."""
    for file, text in modules.items():
        (folder / file).write_text(text)
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    lines = [line for group, named in entries.items() for line in (f"[{group}]", *(f"{k} = {v}" for k, v in named))]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")


@pytest.fixture
def page_package(tmp_path):
    blocks = dict(BLOCK.findall(PAGE.read_text()))
    announced = tomllib.loads(blocks.pop("pyproject.toml"))["project"]["entry-points"]
    assert set(blocks) == {"toy_method.py", "toy_problem.py"}
    install(tmp_path, "toys", blocks, {group: named.items() for group, named in announced.items()})
    return tmp_path


def test_the_package_of_the_page_is_trained_scored_and_rebuilt(page_package):
    """In processes of their own, as a user would: nothing but the folder on the path says that the package exists."""
    out = page_package / "out"
    words = ["bench", "toy-two-states", "--tier", "tiny", "--entrants", "toy-blobs", "-o", str(out)]
    environment = {**os.environ, "PYTHONPATH": str(page_package), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "hypermol", *words], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (row,) = json.loads((out / "toy-two-states.json").read_text())["rows"]
    assert row["status"] == "done", row["message"]
    assert row["figures"]["states told apart"]["bound"] > 90
    assert {GAIN, "confusion error of clusters of z"} <= set(row["figures"])


def test_an_outside_part_is_loaded_by_its_name(tmp_path, monkeypatch):
    text = (
        "import dataclasses\nfrom hypermol.specs import register\n"
        '@register("volume", "toy-part")\n@dataclasses.dataclass(frozen=True)\nclass Part:\n    size: int = 3\n'
    )
    install(
        tmp_path,
        "parts",
        {"toy_part_module.py": text},
        {"hypermol.parts": [("volume.toy-part", "toy_part_module:Part")]},
    )
    with pytest.raises(ConfigError, match="unknown volume"):
        specs.lookup("volume", "toy-part")
    monkeypatch.syspath_prepend(tmp_path)
    assert specs.from_dict("volume", {"kind": "toy-part", "size": 5}).size == 5
    with pytest.raises(ConfigError, match="toy-part"):
        specs.lookup("volume", "toy-pat")


@pytest.mark.parametrize(
    ("text", "name", "words"),
    [
        ("import nothing_of_that_name\nTOY = 1", "broken-one", "cannot be loaded: ModuleNotFoundError"),
        ("TOY = 1", "broken-one", "of no use"),
        ("from hypermol.methods.cryodrgn import CRYODRGN as TOY", "broken-one", "calls itself 'cryodrgn'"),
        ("TOY = 1", "cryodrgn", "hypermol itself has one of that name"),
    ],
)
def test_a_broken_method_is_a_warning_and_the_others_stay(tmp_path, monkeypatch, text, name, words):
    module = f"broken_{abs(hash((text, name)))}"
    install(tmp_path, "breaks", {f"{module}.py": text}, {"hypermol.methods": [(name, f"{module}:TOY")]})
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.warns(OutsideWarning, match=words) as warned:
        known = dict(METHODS.items())
    assert "package 'breaks'" in str(warned[0].message)
    assert known["cryodrgn"].name == "cryodrgn"
    assert "broken-one" not in known
    if name == "broken-one":
        with pytest.raises(ConfigError, match="package 'breaks'"):
            find_method(name)


def test_a_broken_problem_is_a_warning(tmp_path, monkeypatch):
    install(tmp_path, "breaks", {"no_problem.py": "P = 3"}, {"hypermol.problems": [("bad", "no_problem:P")]})
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.warns(OutsideWarning, match="it lacks name"):
        assert "hinge" in list(PROBLEMS)
    with pytest.raises(ConfigError, match="of no use"):
        find_problem("bad")
    with pytest.raises(ConfigError, match=r"known: .*hinge.*bad"):
        find_problem("nosuch")
