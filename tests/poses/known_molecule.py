"""Images of a rigid molecule with its own map, scaled as reading scales the images."""

import torch

from hypermol.kernels import volume_to_grid
from hypermol.particles import ImageSource, read_particles
from hypermol.poses import ScoredImages
from hypermol.simulation import Recipe, Truth, simulate


def simulated(folder, **recipe):
    simulate(Recipe(name="homogeneous", box=32, ctf=True, seed=8, **recipe), folder)
    truth, source = Truth.load(folder), ImageSource(read_particles(folder / "particles.star"))
    batch = next(iter(source.stream([torch.arange(truth.count)])))
    images, grid = ScoredImages.of(batch), volume_to_grid(truth.map(0).float())
    rotation = batch.rotation[:, None]
    full = images.log_likelihood(grid, rotation, (batch.shift / batch.pixel_size)[:, None])[0]
    twice = images.log_likelihood(2 * grid, rotation, (batch.shift / batch.pixel_size)[:, None])[0]
    power = (2 * full - twice).sum()  # a overlap - a² power/2 at a = 1 and 2: reading scales images by their noise
    return truth, batch, images, grid * ((full.sum() + power / 2) / power).float()
