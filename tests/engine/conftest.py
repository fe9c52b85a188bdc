"""Lets the engine's tests import their harness, as its subprocesses do, and share one warm subprocess."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import harness


@pytest.fixture(scope="session")
def server() -> Iterator[harness.Server]:
    """A process that runs probes in forks of itself."""
    server = harness.Server()
    yield server
    server.close()
