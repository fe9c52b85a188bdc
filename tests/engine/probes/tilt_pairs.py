"""Tilt-pair search: both images of a particle vote for its rotation, first over a grid, then around the best."""

import torch
from harness import ArraySource, cloud

from hypermol.engine import Contribution, Phase, Program, State, Step, generator
from hypermol.imaging import Lattice, gaussian_nll, image_rotations, rotations, slice_coordinates, so3_grid

N, NOISE, TILT = 36, 2.0, 25.0
LATTICE = Lattice.disc(12, dtype=torch.float64)


def volume(k3):
    return cloud(k3, atoms=8, spread=1.8, blur=8, seed=15)


def truth():
    return rotations.random_rotations(N, generator=generator(15, "rotation"), dtype=torch.float64)


def source():
    tilt = rotations.euler_to_matrix(*torch.tensor([[0, 0], [0, TILT], [0, 0]], dtype=torch.float64)).expand(N, 2, 3, 3)
    rotation = image_rotations(truth()[:, None], tilt)[:, 0]
    noise = torch.randn(N, 2, LATTICE.size, generator=generator(15, "noise"), dtype=torch.complex128)
    images = volume(slice_coordinates(LATTICE.k, rotation)) + NOISE * noise
    return ArraySource({"images": images, "tilt": tilt}, {"lattice": LATTICE})


def best_of(candidates, batch):
    """Rows for the likeliest of the candidates, [B or 1, H, 3, 3], given all images of the particle."""
    lattice = batch.lattice
    candidates = candidates.expand(len(batch.tilt), -1, 3, 3)
    made = volume(slice_coordinates(lattice.k, image_rotations(candidates, batch.tilt)))
    nll = gaussian_nll(batch.images[:, None] - made, torch.full_like(lattice.weight, NOISE**2), lattice.weight).sum(-1)
    chosen = candidates[torch.arange(len(nll)), nll.argmin(1)]
    return Contribution({}, {"rotation": chosen}, {"nll": nll.amin(1).sum()})


def search(state, batch, draws):
    return best_of(so3_grid(1)[None], batch)


def refine(state, batch, draws):
    now = state.table["rotation"][batch.particle]
    turn = 0.35 * 0.8**state.clock.pass_index * draws.normal("turn", 20, 3, dtype=torch.float64)
    return best_of(torch.cat([now[:, None], rotations.rotvec_to_matrix(turn) @ now[:, None]], 1), batch)


def program():
    grid = Phase("grid", (Step(search),), passes=1, batch_size=10, band_limit=lambda progress: 4)
    local = Phase("around the best", (Step(refine),), passes=14, batch_size=30)
    return Program(State, (grid, local))


def check(state):
    error = rotations.geodesic_angle_deg(state.table["rotation"], truth())
    assert error.median() < 6  # with one image of each particle: 7.7° and 58 % below 10°
    assert (error < 10).double().mean() > 0.8
