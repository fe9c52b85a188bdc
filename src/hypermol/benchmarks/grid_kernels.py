"""`make bench-kernels`: slices and insertions of the closed-form methods, in images/s, beside the bytes they must move.

On the GPU where there is one, else on the CPU. The floor of an image point is its numerator and weight read once, and
eight corners of the grid read (a slice), or read and written (an insertion), as if no corner were ever still in a
cache. The share of the floor is those bytes per second over what this memory moves when it copies a large array:
neighbouring images and points share corners, so that it can exceed one.
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hypermol.benchmarks.circumstances import ROOT, write_result

MOST_OF_MEMORY = 0.8
CORNERS, COMPLEX, REAL = 8, 8, 4
PUBLISHED = {
    "back projections of 128 px, H100": 588_000,
    "back projections of 256 px, H100": 134_000,
}
"""Images/s as published for kernels of this kind."""


def main(arguments: list[str] | None = None) -> None:
    """Time what was asked for and write the result file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--boxes", type=int, nargs="+", default=[64, 128, 256])
    parser.add_argument("--channels", type=int, nargs="+", default=[1, 4, 11], help="mean and components")
    parser.add_argument("--images", type=int, help="of a batch; default: 1000, on a CPU fewer in larger boxes")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "kernels.json")
    chosen = parser.parse_args(arguments)
    device = torch.device(chosen.device)
    bandwidth, rows = _bandwidth(device), []
    for box in chosen.boxes:
        images = chosen.images or (1000 if device.type == "cuda" else max(50, 1000 * 64**2 // box**2))
        for channels in chosen.channels:
            if (needed := _grid_bytes(box, channels)) > MOST_OF_MEMORY * _memory(device):
                rows.append({"box": box, "channels": channels, "does_not_fit_gib": round(needed / 2**30, 1)})
                print(f"{box} px, {channels} maps: {needed / 2**30:.0f} GiB of grids do not fit")
                continue
            for name, floor, work in _cases(box, channels, images, device):
                seconds = [_timed(work, device) for _ in range(chosen.repeats + 1)]
                rate = images / statistics.median(seconds[1:])
                row = {"kernel": name, "box": box, "channels": channels, "images": images}
                share = rate * floor / bandwidth
                row |= {"images_per_second": round(rate), "floor_bytes_per_image": floor}
                row |= {"share_of_floor": round(share, 3), "first_call_seconds": round(seconds[0], 2)}
                rows.append(row)
                print(f"{name:18} {box:4} px, {channels:2} maps: {rate:12,.0f} images/s, {share:6.1%} of the floor")
    content = {"command": "make bench-kernels", "device": str(device), "threads": torch.get_num_threads()}
    content |= {"copied_bytes_per_second": round(bandwidth), "published": PUBLISHED, "rows": rows}
    write_result(chosen.out, content)
    print(f"memory copies {bandwidth / 1e9:.1f} GB/s; written: {chosen.out}")


def _cases(box: int, channels: int, images: int, device: torch.device) -> list[tuple[str, int, Callable[[], Any]]]:
    """Name, bytes that an image must move, and the work."""
    from hypermol.imaging import Lattice, random_rotations
    from hypermol.kernels import grid_shape, insert_moments, record_size, slice_moments

    drawn = torch.Generator().manual_seed(0)
    k = Lattice.disc(box).k.to(device)
    numerator = torch.randn(images, len(k), generator=drawn, dtype=torch.complex64).to(device)
    weight = torch.rand(images, len(k), generator=drawn).to(device)
    rotation = random_rotations(images, generator=drawn).to(numerator.real)
    floats, half = record_size(channels), (torch.arange(images) % 2).to(device)
    first = torch.randn(images, channels, generator=drawn).to(device)
    second = torch.rand(images, floats - 2 * channels, generator=drawn).to(device)
    grid = torch.zeros(*grid_shape(box), channels, dtype=torch.complex64, device=device)
    sums = torch.zeros(2, *grid_shape(box), floats, device=device)
    image = len(k) * (COMPLEX + REAL)
    slices = image + len(k) * CORNERS * COMPLEX * channels
    insertion = image + len(k) * CORNERS * REAL * floats * 2
    label = "back projection" if channels == 1 else "insertion"
    return [
        ("E-step", slices, lambda: slice_moments(grid, numerator, weight, rotation, k, box)),
        (label, insertion, lambda: insert_moments(numerator, weight, rotation, first, second, half, k, box, sums)),
    ]


def _grid_bytes(box: int, channels: int) -> int:
    """Of the maps' transforms, and of the sums of both half sets."""
    from hypermol.kernels import grid_shape, record_size

    return math.prod(grid_shape(box)) * (COMPLEX * channels + 2 * REAL * record_size(channels))


def _memory(device: torch.device) -> int:
    """Bytes of the card, or of this machine."""
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _timed(work: Callable[[], Any], device: torch.device) -> float:
    _wait(device)
    start = time.perf_counter()
    work()
    _wait(device)
    return time.perf_counter() - start


def _bandwidth(device: torch.device) -> float:
    """Bytes per second, read and written, of copying half a GiB."""
    source = torch.ones(2**27, device=device)
    target = torch.empty_like(source)
    seconds = [_timed(lambda: target.copy_(source), device) for _ in range(6)]
    return 2 * _size(source) / statistics.median(seconds[1:])


def _size(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


if __name__ == "__main__":
    main()
