"""Which device a job runs on, and why."""

from __future__ import annotations

import os

import torch

from hypermol.errors import ConfigError


def choose_precision(wanted: str, device: torch.device) -> str:
    """ "float32" or "bfloat16" for network layers; "auto" takes bfloat16 where the device multiplies it natively."""
    if wanted != "auto":
        return wanted
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    features = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    native = any(getattr(torch.cpu, name, lambda: False)() for name in features)
    return "bfloat16" if native else "float32"


def choose_device(wanted: str = "auto") -> tuple[torch.device, str]:
    """The device for ``wanted`` ("auto", "cpu", "cuda", "cuda:1", …) and a sentence that says why.

    Raises ConfigError when a GPU is asked for and none can be used.
    """
    if wanted == "auto":
        if torch.cuda.is_available():
            index = int(os.environ.get("LOCAL_RANK", "0"))
            return torch.device("cuda", index), f"GPU {torch.cuda.get_device_name(index)} (found, so used)"
        return torch.device("cpu"), f"CPU with {torch.get_num_threads()} threads (no CUDA GPU was found)"
    try:
        device = torch.device(wanted)
    except RuntimeError:
        raise ConfigError(f"unknown device {wanted!r}; use auto, cpu, cuda or cuda:N") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ConfigError(f"device {wanted!r} was asked for, but this machine has no usable CUDA GPU; use cpu or auto")
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{torch.get_num_threads()} threads"
    return device, f"{device} ({name}), as asked"
