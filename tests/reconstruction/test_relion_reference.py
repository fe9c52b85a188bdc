"""Against RELION 3.1.3: relion_reconstruct and ours from the same 48 clean projections (COMMANDS.txt beside them)."""

import dataclasses

import pytest
import torch

from hypermol.imaging import images_to_packed
from hypermol.maps import read_map
from hypermol.metrics import fsc
from hypermol.particles import ImageSource, Preparation, read_particles
from hypermol.reconstruction import Accumulators, form_maps, half_map, insertion


@pytest.fixture(params=["ctf", "noctf"])
def reference(request, shared_data):
    """RELION's map, the volume that was projected, and our batch of the same images."""
    import mrcfile

    folder = shared_data / "relion313_reference"
    particles = read_particles(folder / "proj48_ctf.star")
    source = ImageSource(particles, Preparation(normalise=False, sign=1))
    batch = source.load(torch.arange(48))
    batch = dataclasses.replace(batch, variance=torch.ones_like(batch.variance))
    if request.param == "noctf":
        images = torch.from_numpy(mrcfile.read(folder / "proj48_noctf.mrcs").copy())
        packed = images_to_packed(images, batch.lattice)[:, None]
        batch = dataclasses.replace(batch, images=packed, ctf=torch.ones_like(batch.ctf))
    relion, pixel_size = read_map(folder / f"recon48_{request.param}.mrc")
    assert pixel_size == pytest.approx(source.pixel_size, rel=1e-5)
    return relion, read_map(folder / "vol64.mrc")[0], batch


def test_unregularised_map_is_relions(reference):
    """48 views leave most of the outer nodes empty, and the two programs fill them differently."""
    relion, _, batch = reference
    batch = dataclasses.replace(batch, half=torch.zeros_like(batch.half))
    ours = half_map(Accumulators.view(insertion(batch).add_to(None), 64).symmetrise(), 0)
    curve = fsc(ours, relion)
    assert float(curve[:9].min()) > 0.97
    assert float(curve[:17].min()) > 0.91  # half Nyquist
    assert float(curve.min()) > 0.86
    assert float((ours * relion).sum() / (ours.norm() * relion.norm())) > 0.92


def test_consensus_is_as_close_to_the_volume_as_relions(reference):
    relion, volume, batch = reference
    batch = dataclasses.replace(batch, half=torch.arange(48) % 2)
    maps = form_maps(Accumulators.view(insertion(batch).add_to(None), 64), 5.766188)
    ours, theirs = fsc(maps.map, volume), fsc(relion, volume)
    assert float((ours - theirs).min()) > -0.06
    assert float((ours - theirs)[:9].min()) > -0.02
