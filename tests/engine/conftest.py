"""Lets the engine's tests import their harness, as its subprocesses do, and share one warm subprocess."""

import os
import subprocess
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


@pytest.fixture(scope="session")
def doubled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run folders of all probes, each run on two processes: one launch."""
    folder = tmp_path_factory.mktemp("doubled")
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([*launch, harness.__file__, str(folder)], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return folder
