"""What a method is told of the data: the amplitudes of signal and noise, against a simulation's truth."""

from pathlib import Path

import pytest
import torch
from small import hinge

from hypermol.imaging import fft3
from hypermol.methods.context import amplitudes
from hypermol.particles import ImageSource, Preparation, read_particles


@pytest.mark.parametrize("ctf", [False, True])
def test_amplitudes_against_the_truth(tmp_path: Path, ctf: bool) -> None:
    """Noise of variance 1 per pixel has power D² in every coefficient, over that of the CTF; the signal's power is
    that of the true maps."""
    truth = hinge(tmp_path, 400, 24, 2.0, 7, ctf=ctf)
    source = ImageSource(read_particles(tmp_path / "particles.star"), Preparation())
    signal, noise = amplitudes(source)
    assert signal.shape == noise.shape == (12,)
    batch = source.load(torch.arange(400))
    transfer = torch.stack([batch.ctf[..., shell_of(source) == s].square().mean() for s in range(12)]).clamp(min=1e-3)
    torch.testing.assert_close(noise * transfer.sqrt(), torch.full((12,), 24.0), rtol=0.04, atol=0.0)
    power = torch.stack([shells_of(fft3(truth.map(i)).abs().square()) for i in range(0, 400, 40)]).mean(0)
    assert (signal >= 0.099 * noise).all()
    torch.testing.assert_close(signal, power.sqrt(), rtol=0.1, atol=0.0)


def shell_of(source: ImageSource) -> torch.Tensor:
    return (source.lattice.k.norm(dim=-1) * source.lattice.box).round().long()


def shells_of(cube: torch.Tensor) -> torch.Tensor:
    """Means over spherical shells of a centred cube."""
    axis = torch.arange(24) - 12
    radius = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij")).double().norm(dim=0).round().long()
    sums, counts = (torch.zeros(40, dtype=torch.float64) for _ in range(2))
    sums.index_add_(0, radius.flatten(), cube.double().flatten())
    counts.index_add_(0, radius.flatten(), torch.ones(24**3, dtype=torch.float64))
    return (sums / counts.clamp(min=1))[:12].float()
