"""What every compiled kernel needs: where it may run, its module, its arguments, numba with torch's threads."""

import os
import shutil
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

OLDEST = (7, 0)
"""Compute capability from which on the GPU kernels' atomic additions exist."""


def compiled_runs(*tensors: Tensor) -> bool:
    """Whether the compiled loops may be used: numba is installed, and everything is on the CPU."""
    return has_numba() and all(tensor.device.type == "cpu" for tensor in tensors)


def triton_runs(*tensors: Tensor) -> bool:
    """Whether the GPU kernels may be used: triton can run, and everything is on one GPU."""
    device = tensors[0].device
    if device.type != "cuda" or any(tensor.device != device for tensor in tensors):
        return False
    return has_triton() and torch.cuda.get_device_capability(device) >= OLDEST


@cache
def has_triton() -> bool:
    """Whether triton is installed, and a C compiler, with which it makes the code that starts a kernel."""
    compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    return find_spec("triton") is not None and compiler is not None


@cache
def has_numba() -> bool:
    """Whether numba is installed."""
    return find_spec("numba") is not None


def as_array(tensor: Tensor) -> Any:
    """The tensor's own memory as a numpy array; a copy only where it is strided, or a lazy conjugate or negative."""
    return tensor.detach().contiguous().resolve_conj().resolve_neg().numpy()


def as_floats(numbers: Tensor) -> Tensor:
    """Complex numbers as pairs, contiguous."""
    return torch.view_as_real(numbers.resolve_conj().contiguous())


def on_gpu(kernel: str) -> Any:
    """The module ``{kernel}_triton``."""
    return import_module(f"hypermol.kernels.{kernel}_triton")


def loops(kernel: str) -> Any:
    """The module ``{kernel}_loops``, numba's threads being as many as torch's."""
    set_threads(torch.get_num_threads())
    return import_module(f"hypermol.kernels.{kernel}_loops")


def set_threads(threads: int) -> None:
    """Use at most ``threads`` threads in this process; results do not depend on it."""
    import numba

    start()
    most: int = numba.config.NUMBA_NUM_THREADS  # type: ignore[attr-defined]
    numba.set_num_threads(max(1, min(threads, most)))


@cache
def start() -> None:
    """Start numba's threads, once: that also sets how many OpenMP uses, which is torch's too and is put back."""
    import numba

    before = torch.get_num_threads()
    numba.get_num_threads()
    torch.set_num_threads(before)
