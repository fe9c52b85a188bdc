"""The kernels leave the number of threads of everything else as it was."""

import os
import subprocess
import sys

CODE = """
import torch
from hypermol.kernels import slice_grid

torch.set_num_threads(1)
grid, points = torch.randn(32, 32, 17, 1, dtype=torch.complex64), torch.rand(1000, 3) - 0.5
slice_grid(grid, points, 16)
print(torch.get_num_threads())
"""


def test_numba_does_not_change_how_many_threads_torch_uses() -> None:
    """Both sit on one OpenMP: its threads wait for each other by spinning, which on a busy machine costs tenfold."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, env=environment)
    assert done.stdout.strip() == "1", done.stderr
