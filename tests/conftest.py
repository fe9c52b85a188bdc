"""Shared test setup: shape annotations are enforced, shared data is found or the test skips with the reason."""

import os
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")

from jaxtyping import install_import_hook

CHECKED_ROOMS = ("kernels", "imaging", "posteriors", "maps", "metrics", "volumes", "reconstruction")
CHECKER = "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))"
install_import_hook([f"hypermol.{room}" for room in CHECKED_ROOMS], CHECKER)

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture
def shared_data() -> Path:
    """The folder of real data beside the repository; the test skips where it is absent."""
    folder = SHARED / "data"
    if not folder.is_dir():
        pytest.skip("shared data folder ../shared/data is absent")
    return folder


@pytest.fixture(autouse=True)
def one_thread():
    import torch

    torch.set_num_threads(1)
