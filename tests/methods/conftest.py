"""Lets the tests of methods import their helpers."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from small import hinge


@pytest.fixture(scope="session")
def star(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 particles of 16 px."""
    folder = tmp_path_factory.mktemp("small") / "data"
    hinge(folder, 60, 16, 2.0, 1)
    return folder / "particles.star"
