"""A small simulated set and a run on it, made through the command line once per worker."""

import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from commands import NEURAL, TINY, done, settings


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A simulated hinge, 80 particles of 16 px. Not to be changed."""
    folder = tmp_path_factory.mktemp("made") / "data"
    done("simulate", "hinge", "-o", folder, "-n", 80, "--box", 16, "--snr", 2, "--seed", 3)
    return folder


@pytest.fixture
def data(made: Path, tmp_path: Path) -> Path:
    """A copy of the simulated star file and stack, to spoil."""
    folder = tmp_path / "data"
    folder.mkdir()
    for name in ("particles.star", "particles.mrcs"):
        shutil.copy(made / name, folder)
    return folder


@pytest.fixture(scope="session")
def trained(made: Path) -> Path:
    """A finished, analysed run of cryodrgn. Not to be changed."""
    run = made.parent / "run"
    done(*NEURAL, made / "particles.star", "-o", run, *settings("epochs=2", "seed=4", *TINY))
    done("analyze", run, "-k", 3, "--points", 4)
    return run
