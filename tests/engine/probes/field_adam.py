"""A Fourier field by Adam: a coordinate network learns a cloud of Gaussians from CTF-affected images of known pose."""

import torch
from harness import ArraySource, cloud
from torch import nn

from hypermol.engine import Adam, GradientStep, Outcome, Phase, Program, State, generator, initial_tensors, install
from hypermol.imaging import CTF, Lattice, gaussian_nll, random_rotations, slice_coordinates
from hypermol.networks import GeometricEncoding, ResidualMLP

N, BOX, NOISE = 192, 14, 0.5
LATTICE = Lattice.disc(BOX, dtype=torch.float64)


def truth(k3):
    return cloud(k3, atoms=6, spread=2.0, blur=20, seed=12)


def source():
    rotation = random_rotations(N, generator=generator(11, "rotation"), dtype=torch.float64)
    defocus = 8e3 + 1e4 * torch.rand(N, generator=generator(11, "defocus"), dtype=torch.float64)
    ctf = CTF.create(defocus).evaluate(LATTICE.k, pixel_size=4.0).double()
    noise = torch.randn(N, LATTICE.size, generator=generator(11, "noise"), dtype=torch.complex128)
    images = ctf * truth(slice_coordinates(LATTICE.k, rotation)) + NOISE * noise
    return ArraySource({"images": images, "ctf": ctf, "rotation": rotation}, {"lattice": LATTICE})


class Field(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoding = GeometricEncoding(BOX)
        with torch.random.fork_rng():
            torch.manual_seed(12)
            self.network = ResidualMLP(self.encoding.size, 32, 1, 2).double()

    def value(self, k3):
        """V(-k) = V(k)*: the network is asked at one of the two points."""
        flip = torch.where(k3[..., 2:] < 0, -1.0, 1.0).to(k3.dtype)
        real, imaginary = self.network(self.encoding(k3 * flip)).unbind(-1)
        return torch.complex(real, imaginary * flip[..., 0])

    def forward(self, batch, draws, rows):
        lattice = batch.lattice
        made = batch.ctf * self.value(slice_coordinates(lattice.k, batch.rotation))
        nll = gaussian_nll(batch.images - made, torch.full_like(batch.ctf, NOISE**2), lattice.weight)
        return Outcome(nll.sum())


def program():
    step = GradientStep(Field(), Adam(1e-2)).step()
    phase = Phase("march", (step,), passes=24, batch_size=48, band_limit=lambda progress: 3 + round(3 * progress))
    return Program(lambda: State(initial_tensors(Field())), (phase,))


def check(state):
    field = install(Field(), state)
    k3 = slice_coordinates(LATTICE.k, random_rotations(50, generator=generator(13), dtype=torch.float64))
    with torch.no_grad():
        made, real = field.value(k3), truth(k3)
    assert (made.conj() * real).sum().real / (made.norm() * real.norm()) > 0.97
