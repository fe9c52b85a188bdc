"""`hypermol validate` as a person uses it: exit status, words, and comparing with other runs."""

from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path

import pytest
from small_runs import QUIET, TINY, molecule, untrained

from hypermol.cli import main
from hypermol.methods import configured, find_method, train


def said(*arguments: object) -> tuple[int, str]:
    """Exit status and all that was printed."""
    out = StringIO()
    with redirect_stdout(out), redirect_stderr(out):
        status = main(["validate", *map(str, arguments)])
    assert "Traceback" not in out.getvalue(), out.getvalue()
    return status, out.getvalue()


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two finished runs on the same particles, ``run`` and ``other``."""
    folder = tmp_path_factory.mktemp("command")
    star = molecule(folder / "data", True, 5, n=100, box=16, snr=2.0)
    method = configured(find_method("cryodrgn"), TINY)
    for seed, name in enumerate(("run", "other")):
        train(star, method, folder / name, seed=seed, conduct=QUIET)
    return folder


def test_the_whole_command(trained: Path):
    status, text = said(trained / "run", trained / "other", "--no-noise", "--vary", "z_dim=3", "--device", "cpu")
    assert status == 0, text
    assert "otion" in text
    assert "with z_dim = 3: the best axis" in text
    assert "canonical correlations of z" in text
    assert "next: hypermol report" in text


def test_bad_arguments(trained: Path):
    for arguments, words in (
        ((trained,), "is not a run folder"),
        ((trained / "run", "--seeds", "-1"), "0 or more"),
        ((trained / "run", "--vary", "z_dim"), "--vary z_dim: expected key=value"),
        ((trained / "run", "--vary", "z_dim=2", "--vary", "z_dim=3"), "--vary z_dim is given twice"),
        ((trained / "run", "--vary", "depth=2"), "no setting"),
        ((trained / "run", "--memory-gb", "0"), "more than 0"),
    ):
        status, text = said(*arguments)
        assert status == 2, text
        assert words in text


def test_an_unfinished_run(trained: Path, tmp_path: Path):
    run = untrained(trained / "data" / "particles.star", tmp_path / "run", TINY)
    status, text = said(run.path)
    assert status == 2
    assert "has not finished" in text
