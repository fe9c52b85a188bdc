"""The contract of a volume family: inherit, give ``build``, and every test below runs.

class TestMyVolume(VolumeContract):
    def build(self): return MySpec(z_dim=2).build(small_context())
"""

from __future__ import annotations

import torch

from hypermol.imaging import Lattice, fft3, random_rotations, slice_coordinates
from hypermol.specs import BuildContext
from hypermol.volumes import Volume, half_ball


def small_context(box: int = 16, count: int = 6, seed: int = 0) -> BuildContext:
    """A context small enough for any part to be built at once."""
    signal = torch.linspace(1.0, 0.1, box // 2)
    points = Lattice.disc(box).size
    blank = torch.zeros(box, box, box)
    return BuildContext(box, 3.0, count, points, signal, torch.ones(box // 2), seed, consensus=lambda: blank)


class VolumeContract:
    """Shapes, symmetry, gradients, maps, saving.

    ``interpolates``: values lie between nodes of a grid, whose nodes are not themselves the map's transform.
    """

    interpolates = False

    def build(self) -> Volume:
        """The volume under test, on the CPU."""
        raise AttributeError(f"{type(self).__name__} must define build()")

    def latent(self, volume: Volume, count: int) -> torch.Tensor | None:
        """Some z for the volume, or None when it has none."""
        generator = torch.Generator().manual_seed(1)
        return torch.randn(count, volume.z_dim, generator=generator) if volume.z_dim else None

    def slices_at(self, volume: Volume, count: int = 3) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Slice coordinates [count, P, 3] of random rotations, and z."""
        rotation = random_rotations(count, generator=torch.Generator().manual_seed(2)).float()
        return slice_coordinates(Lattice.disc(volume.box).k, rotation), self.latent(volume, count)

    def test_shape_and_type(self) -> None:
        volume = self.build()
        k, z = self.slices_at(volume)
        values = volume.values(k, z)
        assert values.shape == k.shape[:-1]
        assert values.dtype == torch.complex64

    def test_hermitian(self) -> None:
        volume = self.build()
        k, z = self.slices_at(volume)
        off_seam = k[..., 0].abs() > 1e-6
        mirrored = volume.values(-k, z)
        difference = (volume.values(k, z) - mirrored.conj())[off_seam]
        assert difference.abs().max() < 1e-4 * mirrored.abs().max()

    def test_any_leading_axes(self) -> None:
        volume = self.build()
        k, z = self.slices_at(volume, 4)
        several = volume.slices(k.reshape(2, 2, *k.shape[1:]), None if z is None else z.reshape(2, 2, -1))
        assert torch.allclose(several.flatten(0, 1), volume.values(k, z), atol=1e-5)

    def test_empty_batch(self) -> None:
        volume = self.build()
        k, z = self.slices_at(volume)
        assert volume.values(k[:0], None if z is None else z[:0]).shape == (0, k.shape[1])

    def test_map_is_the_transform_of_the_values(self) -> None:
        volume = self.build()
        z = self.latent(volume, 2)
        if self.interpolates:
            self._compare_with_a_smooth_map(volume, z)
            return
        maps = volume.maps(z)
        k, index = half_ball(volume.box)
        row = None if z is None else z[:1]
        with torch.no_grad():
            direct = volume.values(k[None], row)[0]
        found = fft3(maps[0]).flatten()[index]
        inside = k.norm(dim=-1) > 0
        error = (found - direct)[inside].abs().max()
        assert error < 1e-3 * direct.abs().max()

    def _compare_with_a_smooth_map(self, volume: Volume, z: torch.Tensor | None) -> None:
        """Slices at random rotations against the Fourier sum of the map, term by term. What a random start holds far
        from the origin interpolates badly: a tenth is allowed."""
        k, _ = self.slices_at(volume, 2)
        map_ = volume.maps(z)[0].double()
        axis = torch.arange(volume.box, dtype=torch.float64) - volume.box // 2
        wave = [torch.exp(-2j * torch.pi * k[0, :, i : i + 1].double() * axis) for i in range(3)]
        exact = torch.einsum("zyx,px,py,pz->p", map_.to(wave[0].dtype), *wave)
        with torch.no_grad():
            found = volume.values(k[:1], None if z is None else z[:1])[0]
        error = (found - exact).abs().square().mean().sqrt()
        assert error < 0.1 * exact.abs().square().mean().sqrt()

    def test_gradients_reach_every_parameter_and_z(self) -> None:
        volume = self.build()
        if not volume.differentiable:
            return
        k, z = self.slices_at(volume)
        if z is not None:
            z.requires_grad_()
        volume.values(k, z).abs().square().sum().backward()
        for name, parameter in volume.named_parameters():
            assert parameter.grad is not None, name
            assert torch.isfinite(parameter.grad).all(), name
        assert z is None or z.grad is not None

    def test_saved_and_loaded(self) -> None:
        volume, other = self.build(), self.build()
        k, z = self.slices_at(volume)
        with torch.no_grad():
            for parameter in volume.parameters():
                parameter.add_(0.01)
        other.load_state_dict(volume.state_dict())
        assert torch.equal(volume.values(k, z), other.values(k, z))
