"""The GPU kernels as machine code, without a GPU. What they compute: the other files of this folder."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from interpreter import interpreted


@pytest.mark.parametrize("capability", [80, 90])
def test_every_kernel_compiles_and_keeps_its_numbers_in_registers(capability: int) -> None:
    interpreted("moments_triton")  # skips where triton is missing or was not asked for
    script = Path(__file__).with_name("compile_for_gpu.py")
    plain = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    found = subprocess.run([sys.executable, script, str(capability)], env=plain, capture_output=True, text=True)
    assert found.returncode == 0, found.stderr[-2000:]
    lines = found.stdout.splitlines()
    assert len(lines) == 12
    for line in lines:
        assert line.endswith("spilled 0"), line
