"""Slices against programs that are not ours: RELION's projections and torch-fourier-slice.

torch-fourier-slice first takes the mean of the map's margin off (and adds it to the image), and it slices at
every frequency of the padded box, so that the ghosts of interpolation fall outside the image and are cropped
away, where a slice of the image's own box (ours, RELION's) folds them in. So like is compared with like: its
*interpolation* is given our grid at the same points; its *projection* is compared on a map with an empty
margin, with our slice taken in the padded box too. The sinc² correction is then each program's own.
"""

import mrcfile
import numpy as np
import pytest
import starfile
import torch

import hypermol.kernels as kernels
from hypermol.imaging.ctf import CTF
from hypermol.imaging.forward import apply_optics, slice_coordinates
from hypermol.imaging.fourier import images_to_packed, packed_to_images
from hypermol.imaging.lattice import Lattice
from hypermol.imaging.rotations import euler_to_matrix, random_rotations
from hypermol.imaging.shifts import shift_phase
from hypermol.maps.files import read_map


@pytest.fixture
def relion(shared_data):
    folder = shared_data / "relion313_reference"
    blocks = starfile.read(folder / "proj48_ctf.star")
    table = blocks["particles"].merge(blocks["optics"], on="rlnOpticsGroup")
    return folder, {name: np.array(table[name]) for name in table.columns}


def projections(folder, table, with_ctf):
    """Our noise-free images of RELION's poses, packed, and the lattice."""
    volume, pixel_size = read_map(folder / "vol64.mrc")
    lattice = Lattice.disc(64)
    angles = [torch.from_numpy(table[f"rlnAngle{name}"].astype(float)) for name in ("Rot", "Tilt", "Psi")]
    rotation = euler_to_matrix(*angles).float()
    origin = np.stack([table["rlnOriginXAngst"], table["rlnOriginYAngst"]], axis=-1)
    shift = torch.from_numpy(-origin / pixel_size).float()
    slices = kernels.slice_grid(kernels.volume_to_grid(volume), slice_coordinates(lattice.k, rotation), 64)
    ctf = torch.ones(len(rotation), lattice.size)
    if with_ctf:
        ctf = CTF.create(
            table["rlnDefocusU"],
            table["rlnDefocusV"],
            np.deg2rad(table["rlnDefocusAngle"]),
            table["rlnVoltage"],
            table["rlnSphericalAberration"],
            table["rlnAmplitudeContrast"],
            np.deg2rad(table["rlnPhaseShift"]),
            table["rlnCtfBfactor"],
            table["rlnCtfScalefactor"],
        ).evaluate(lattice.k, pixel_size)
    return apply_optics(slices[..., 0], ctf, shift_phase(lattice.k, shift)), lattice


@pytest.mark.parametrize("name", ["noctf", "ctf"])
def test_projections_are_those_of_relion(relion, name):
    """Complex correlation ≥ 0.999 inside 0.8 Nyquist for each image, shell by shell over all, and one scale."""
    ours, lattice = projections(*relion, with_ctf=name == "ctf")
    stack = mrcfile.read(relion[0] / f"proj48_{name}.mrcs")
    theirs = images_to_packed(torch.from_numpy(np.array(stack)), lattice)
    inside = lattice.count(int(0.8 * 32))
    a, b = ours[:, 1:inside].to(torch.complex128), theirs[:, 1:inside].to(torch.complex128)
    product = (a * b.conj()).sum(-1)
    correlation = product / (a.norm(dim=-1) * b.norm(dim=-1))
    assert float(correlation.real.min()) >= 0.9999
    assert float(correlation.imag.abs().max()) <= 1e-3
    scale = product.real / b.norm(dim=-1).square()
    assert float((scale - 1).abs().max()) <= 1e-3
    for shell in range(1, lattice.shell[inside - 1] + 1):
        here = lattice.shell == shell
        a, b = ours[:, here], theirs[:, here]
        assert float((a * b.conj()).sum().real / (a.norm() * b.norm())) >= 0.999, shell
    torch.testing.assert_close(ours[:, 0].real, theirs[:, 0].real, rtol=1e-3, atol=0)


def smooth_volume(box, dtype):
    axis = torch.arange(box, dtype=dtype) - box // 2
    z, y, x = torch.meshgrid(axis, axis, axis, indexing="ij")
    centres = torch.randn(12, 3, generator=torch.Generator().manual_seed(5), dtype=dtype) * box / 14
    terms = (torch.exp(-((x - a) ** 2 + (y - b) ** 2 + (z - c) ** 2) / 4) for a, b, c in centres)
    return torch.stack(list(terms)).sum(0)


def test_interpolation_is_that_of_torch_fourier_slice():
    """Their slices of our grid (the padded box is theirs), against our kernel at the same points: ≤ 1e-4."""
    from torch_fourier_slice.slice_extraction import extract_central_slices_rfft_3d

    box = 16
    grid = kernels.volume_to_grid(smooth_volume(box, torch.float32))
    rotation = random_rotations(7, torch.Generator().manual_seed(1), dtype=torch.float32)
    # their matrices take points of the slice to the volume, ours take the molecule to the microscope
    theirs = extract_central_slices_rfft_3d(grid[..., 0].contiguous(), rotation.mT.contiguous())
    lattice = Lattice.disc(2 * box)
    ours = kernels.slice_grid(grid, slice_coordinates(lattice.k, rotation), box)[..., 0]
    x, y = lattice.integers.unbind(-1)
    picked = theirs[:, y + box, x]
    assert float((ours - picked).abs().max() / picked.abs().max()) <= 1e-4


def test_projection_is_that_of_torch_fourier_slice():
    """Real images of a map with an empty margin: ≤ 1e-4 of the brightest pixel."""
    from torch_fourier_slice import project_3d_to_2d

    box = 32
    volume = torch.nn.functional.pad(smooth_volume(box, torch.float32)[4:-4, 4:-4, 4:-4], (4,) * 6)
    rotation = random_rotations(5, torch.Generator().manual_seed(2))
    theirs = project_3d_to_2d(volume, rotation.mT.contiguous(), pad_factor=2.0)
    padded = Lattice.disc(2 * box)
    slices = kernels.slice_grid(kernels.volume_to_grid(volume), slice_coordinates(padded.k, rotation), box)
    ours = packed_to_images(slices[..., 0], padded)[:, box // 2 : -box // 2, box // 2 : -box // 2]
    assert float((ours - theirs).abs().max() / theirs.max()) <= 1e-4


def test_analytic_gaussians_are_the_slices_of_their_raster():
    """Second route: projections of Gaussians have a closed form; the slice of the sampled map agrees."""
    box, sigma = 32, 1.5
    generator = torch.Generator().manual_seed(3)
    atoms = torch.randn(20, 3, generator=generator, dtype=torch.float64) * 3
    axis = torch.arange(box, dtype=torch.float64) - box // 2
    waves = [torch.exp(-((axis - atoms[:, i, None]) ** 2) / (2 * sigma**2)) for i in (2, 1, 0)]
    volume = torch.einsum("nz,ny,nx->zyx", *waves) / (2 * torch.pi * sigma**2) ** 1.5
    rotation = random_rotations(6, generator, dtype=torch.float64)
    lattice = Lattice.disc(box, dtype=torch.float64)
    projected = (atoms @ rotation.mT)[..., :2]  # an atom at r appears at (R r)_xy
    falloff = torch.exp(-2 * torch.pi**2 * sigma**2 * lattice.k.square().sum(-1))
    expected = shift_phase(lattice.k, projected).sum(-2) * falloff
    k3, errors = slice_coordinates(lattice.k, rotation), []
    for oversampling in (2, 4):
        grid = kernels.volume_to_grid(volume, oversampling)
        found = kernels.slice_grid(grid, k3, box, oversampling)[..., 0]
        correlation = (found * expected.conj()).sum(-1).real / (found.norm(dim=-1) * expected.norm(dim=-1))
        assert float(correlation.min()) > 0.9999
        errors.append(float((found - expected).norm() / expected.norm()))
    assert errors[0] < 0.02
    assert errors[1] < 0.3 * errors[0]  # what is left is interpolation: its square law in the grid step


def test_equivariance_under_rotation():
    """Turning the molecule and turning the microscope back is no change: V∘Qᵀ seen at R Qᵀ is V seen at R."""
    box = 24
    volume = smooth_volume(box, torch.float64)
    turned = volume.transpose(0, 1).flip(1).roll(1, 1)  # (x, y, z) → (x, -z, y) about D/2
    quarter = torch.tensor([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]], dtype=torch.float64)
    rotation = random_rotations(4, torch.Generator().manual_seed(4), dtype=torch.float64)
    lattice = Lattice.disc(box, dtype=torch.float64)
    images = [
        kernels.slice_grid(kernels.volume_to_grid(v), slice_coordinates(lattice.k, r), box)
        for v, r in ((volume, rotation), (turned, rotation @ quarter.mT))
    ]
    torch.testing.assert_close(images[0], images[1])
