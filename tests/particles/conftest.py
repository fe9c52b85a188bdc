"""A small whole data set to read, and to spoil."""

from pathlib import Path

import numpy as np
import pytest
import torch

from hypermol.imaging.ctf import CTF
from hypermol.imaging.rotations import random_rotations
from hypermol.particles import StackWriter, write_star

COUNT, BOX, PIXEL = 12, 32, 3.1


def write_set(folder: Path, count: int = COUNT, box: int = BOX, seed: int = 0, name: str = "particles") -> Path:
    """``count`` noisy bright blobs with poses, CTF, two optics groups and halves; returns the star file."""
    generator = np.random.default_rng(seed)
    axis = np.arange(box) - box // 2
    blob = np.exp(-(axis[:, None] ** 2 + axis[None, :] ** 2) / (2 * (0.1 * box) ** 2))
    images = generator.standard_normal((count, box, box)).astype(np.float32) + blob.astype(np.float32)
    with StackWriter(folder / f"{name}.mrcs", box, PIXEL) as stack:
        stack.append(images)
    group = np.arange(count) % 2
    torch.manual_seed(seed)
    write_star(
        folder / f"{name}.star",
        f"{name}.mrcs",
        box=box,
        pixel_size=PIXEL,
        rotation=random_rotations(count, dtype=torch.float64).numpy(),
        shift=generator.normal(size=(count, 2)) * 4,
        ctf=CTF.create(
            generator.uniform(1e4, 2e4, count),
            generator.uniform(1e4, 2e4, count),
            generator.uniform(-1.5, 1.5, count),
            voltage_kv=np.where(group, 200.0, 300.0),
        ),
        half=(np.arange(count) // 2) % 2,
        optics_group=group,
        micrograph=[f"mic{i // 3}.mrc" for i in range(count)],
    )
    return folder / f"{name}.star"


@pytest.fixture
def star(tmp_path: Path) -> Path:
    """The star file of a small whole data set in a folder of its own."""
    return write_set(tmp_path)
