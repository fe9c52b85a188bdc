"""The GPU kernels as Triton's interpreter runs them on the CPU: the same code, without a GPU."""

import os
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

import pytest


def interpreted(name: str) -> ModuleType:
    """The module of that name in ``hypermol.kernels``, to be given tensors on the CPU. Skips where triton is missing,
    and where it was not told from the start of the process to interpret."""
    if find_spec("triton") is None or os.environ.get("TRITON_INTERPRET") != "1":
        pytest.skip("Triton's interpreter is not on: make test-triton")
    return import_module(f"hypermol.kernels.{name}")
