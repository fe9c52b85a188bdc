"""A small problem with a known answer: Gaussians, projected and rasterised analytically in numpy."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch

from hypermol.imaging import CTF, Lattice, random_rotations
from hypermol.particles.batch import Batch

PIXEL = 4.0


@dataclass
class GaussianSource:
    """N particles of J images each as an in-memory engine source; every number comes from the equation, no grid."""

    lattice: Lattice
    centres: np.ndarray  # [n, 3] Å
    width: float  # Å
    images: torch.Tensor
    ctf: torch.Tensor
    variance: torch.Tensor
    rotation: torch.Tensor
    shift: torch.Tensor
    tilt: torch.Tensor
    image_shift: torch.Tensor
    half: torch.Tensor
    pixel_size: float = PIXEL

    @property
    def count(self):
        return self.images.shape[0]

    def pass_order(self, seed, pass_index, shuffle):
        return torch.arange(self.count)

    def stream(self, groups):
        for group in groups:
            yield self.load(group)

    def load(self, group):
        valid = torch.ones(len(group), self.images.shape[1], dtype=torch.bool)
        fields = (self.rotation[group], self.shift[group], self.tilt[group], self.image_shift[group], self.half[group])
        pixels = (self.images[group], valid, self.ctf[group], self.variance[group])
        return Batch(group, *pixels, *fields, self.lattice, self.pixel_size)

    def true_map(self):
        """Transform of the continuous density on the D box, [D, D, D] real space."""
        box = self.lattice.box
        axis = (np.arange(box) - box // 2) / box
        kz, ky, kx = np.meshgrid(axis, axis, axis, indexing="ij")
        inside = kx**2 + ky**2 + kz**2 < 0.25
        values = transform(np.stack([kx, ky, kz], -1).reshape(-1, 3), self.centres, self.width).reshape((box,) * 3)
        spectrum = np.fft.ifftshift(values * inside)
        return torch.from_numpy(np.fft.fftshift(np.fft.ifftn(spectrum).real).astype(np.float32))


def transform(k, centres, width):
    """Fourier transform at k (cycles/pixel) of unit Gaussians at ``centres`` (Å): the sum of their phases."""
    phases = np.exp(-2j * np.pi * (k @ (centres / PIXEL).T)).sum(-1)
    return phases * np.exp(-2 * np.pi**2 * (width / PIXEL) ** 2 * (k**2).sum(-1))


def make_source(box=32, count=200, snr=None, seed=0, images=1, ctf=True, radius=0.28, width=3.5, noise=None):
    """``snr``: variance of the clean images over that of the noise (None: clean); ``noise``: σ² given instead."""
    rng = np.random.default_rng(seed)
    generator = torch.Generator().manual_seed(seed)
    lattice = Lattice.disc(box)
    centres = rng.normal(size=(30, 3))
    centres *= (radius * box * PIXEL * rng.random((30, 1)) ** (1 / 3)) / np.linalg.norm(centres, axis=1, keepdims=True)
    rotation = random_rotations(count, generator, dtype=torch.float64)
    tilt = random_rotations(count * images, generator, dtype=torch.float64).reshape(count, images, 3, 3)
    if images == 1:
        tilt = torch.eye(3, dtype=torch.float64).expand(count, 1, 3, 3)
    shift = torch.from_numpy(rng.uniform(-8, 8, (count, 2 if images == 1 else 3)))
    image_shift = torch.from_numpy(rng.uniform(-6, 6, (count, images, 2))) * (images > 1)
    k = lattice.k.double().numpy()
    values = np.empty((count, images, lattice.size), np.complex64)
    for i in range(count):
        for j in range(images):
            R = (tilt[i, j] @ rotation[i]).numpy()
            whole = np.append(shift[i].numpy(), 0)[:3]
            t = (tilt[i, j].numpy() @ whole)[:2] + image_shift[i, j].numpy()
            slice_ = transform(np.pad(k, ((0, 0), (0, 1))) @ R, centres, width)
            values[i, j] = slice_ * np.exp(-2j * np.pi * k @ t / PIXEL)
    defocus = torch.from_numpy(rng.uniform(8000, 25000, (count, images)))
    gain = CTF.create(defocus).evaluate(lattice.k, PIXEL) if ctf else torch.ones(count, images, lattice.size)
    clean = torch.from_numpy(values) * gain
    if snr is not None:
        noise = 2 * float(clean.abs().square().sum() / clean[..., 0].numel() / box**2) / snr
    draw = rng.normal(size=(2, *clean.shape)) * np.sqrt((noise or 0) / 2)
    data = clean + torch.from_numpy((draw[0] + 1j * draw[1]).astype(np.complex64))
    data[..., 0].imag = 0
    variance = torch.full(clean.shape, float(noise or 1.0))
    half = torch.arange(count) % 2
    pose = (rotation.float(), shift.float(), tilt.float(), image_shift.float())
    return GaussianSource(lattice, centres, width, data, gain.float(), variance, *pose, half)


@pytest.fixture(scope="session")
def source_maker():
    return make_source
