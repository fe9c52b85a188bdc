"""Which device a job runs on, and why."""

from __future__ import annotations

import os

import torch

from hypermol.errors import ConfigError


def choose_device(wanted: str = "auto") -> tuple[torch.device, str]:
    """The device for ``wanted`` ("auto", "cpu", "cuda", "cuda:1", …) and a sentence that says why.

    Under torchrun each process of a machine takes a GPU of its own. Raises ConfigError when a GPU is asked for and
    none can be used.
    """
    if wanted == "auto":
        if torch.cuda.is_available():
            device = _own_gpu()
            return device, f"GPU {torch.cuda.get_device_name(device)} (found, so used)"
        return torch.device("cpu"), f"CPU with {_threads()} (no CUDA GPU was found)"
    try:
        device = torch.device(wanted)
    except RuntimeError:
        raise ConfigError(f"unknown device {wanted!r}; use auto, cpu, cuda or cuda:N") from None
    if device.type == "cpu":
        return device, f"cpu ({_threads()}), as asked"
    if device.type != "cuda":
        raise ConfigError(f"device {wanted!r} is not supported; use auto, cpu, cuda or cuda:N")
    if not torch.cuda.is_available():
        raise ConfigError(f"device {wanted!r} was asked for, but this machine has no usable CUDA GPU; use cpu or auto")
    if device.index is None:
        device = _own_gpu()
    elif device.index >= torch.cuda.device_count():
        raise ConfigError(f"device {wanted!r} was asked for, but this machine has {torch.cuda.device_count()} GPUs")
    return device, f"{device} ({torch.cuda.get_device_name(device)}), as asked"


def choose_precision(wanted: str, device: torch.device) -> str:
    """ "float32" or "bfloat16" for network layers; "auto" takes bfloat16 where the device multiplies it natively."""
    if wanted != "auto":
        return wanted
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    features = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    native = any(getattr(torch.cpu, name, lambda: False)() for name in features)
    return "bfloat16" if native else "float32"


def _own_gpu() -> torch.device:
    index, count = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
    if index >= count:
        raise ConfigError(f"process {index} of this machine has no GPU of its own: there are {count}; start fewer")
    return torch.device("cuda", index)


def _threads() -> str:
    count = torch.get_num_threads()
    return f"{count} thread" if count == 1 else f"{count} threads"
