"""Lets the engine's tests import their harness, as its subprocesses do, and share one warm subprocess."""

import os
import subprocess
import sys
import time
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
    """Run folders of all probes, each run on two processes: one launch, also where pytest has several workers."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "doubled"
    try:
        folder.mkdir()
    except FileExistsError:  # another worker has launched it
        while not (folder / "said").exists():
            time.sleep(0.1)
    else:
        launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        done = subprocess.run([*launch, harness.__file__, str(folder)], capture_output=True, text=True, env=environment)
        (folder / ".said").write_text(done.stderr if done.returncode else "")
        (folder / ".said").rename(folder / "said")
    said = (folder / "said").read_text()
    assert said == "", said
    return folder
