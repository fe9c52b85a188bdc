"""The contrast transfer function (CTF) of the microscope.

CTF = S exp(-B s²/4) sin(πλ Δf(θ) s² - ½π Cs λ³ s⁴ + φ + asin w), s in Å⁻¹,
Δf(θ) = ½[U + V + (U - V) cos 2(θ - α)]   (Mindell & Grigorieff 2003; sign per DESIGN §2: positive at s → 0,
so that positive density makes a bright particle).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hypermol.shapes import Float


def wavelength(voltage_kv: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
    """Relativistic electron wavelength (Å) at an acceleration voltage (kV)."""
    volts = voltage_kv * 1e3
    return 12.2643247 / torch.sqrt(volts * (1 + 0.978466e-6 * volts))


@dataclass(frozen=True, eq=False)
class CTF:
    """Parameters of the CTF of a batch of images: float64 tensors of one batch shape.

    defocus_u, defocus_v: Å, positive = underfocus. astigmatism_angle: radians from x to the U axis.
    voltage_kv; cs_mm (spherical aberration, mm); amplitude_contrast (a fraction); phase_shift: radians;
    b_factor: Å² (positive damps); scale.
    """

    defocus_u: Float[Tensor, "*batch"]
    defocus_v: Float[Tensor, "*batch"]
    astigmatism_angle: Float[Tensor, "*batch"]
    voltage_kv: Float[Tensor, "*batch"]
    cs_mm: Float[Tensor, "*batch"]
    amplitude_contrast: Float[Tensor, "*batch"]
    phase_shift: Float[Tensor, "*batch"]
    b_factor: Float[Tensor, "*batch"]
    scale: Float[Tensor, "*batch"]

    @staticmethod
    def create(
        defocus_u: Any,
        defocus_v: Any = None,
        astigmatism_angle: Any = 0.0,
        voltage_kv: Any = 300.0,
        cs_mm: Any = 2.7,
        amplitude_contrast: Any = 0.1,
        phase_shift: Any = 0.0,
        b_factor: Any = 0.0,
        scale: Any = 1.0,
    ) -> "CTF":
        """A CTF from numbers, arrays or tensors, broadcast to one batch shape; by default V = U."""
        values = (
            defocus_u, defocus_u if defocus_v is None else defocus_v, astigmatism_angle, voltage_kv, cs_mm,
            amplitude_contrast, phase_shift, b_factor, scale,
        )  # fmt: skip
        tensors = torch.broadcast_tensors(*(_double(value) for value in values))
        return CTF(*(tensor.contiguous() for tensor in tensors))

    @property
    def shape(self) -> torch.Size:
        """The batch shape."""
        return self.defocus_u.shape

    @property
    def mean_defocus(self) -> Float[Tensor, "*batch"]:
        """(defocus_u + defocus_v) / 2, Å."""
        return (self.defocus_u + self.defocus_v) / 2

    def __getitem__(self, index: Any) -> "CTF":
        return self._map(lambda tensor: tensor[index])

    def reshape(self, *shape: int) -> "CTF":
        """The same parameters in another batch shape."""
        return self._map(lambda tensor: tensor.reshape(*shape))

    def to(self, device: torch.device | str) -> "CTF":
        """The same parameters on another device (always float64)."""
        return self._map(lambda tensor: tensor.to(device))

    def evaluate(self, k: Float[Tensor, "p 2"], pixel_size: float) -> Float[Tensor, "*batch p"]:
        """CTF at k (cycles/pixel) of images with ``pixel_size`` (Å). Phases are float64, the result is k's type."""
        value = torch.sin(self.phase(k, pixel_size))
        if self._damps:
            value = value * self._damping(k, pixel_size)
        return (value * self.scale[..., None]).to(k.dtype)

    def envelope(self, k: Float[Tensor, "p 2"], pixel_size: float) -> Float[Tensor, "*batch p"]:
        """What the sine is multiplied by: B-factor and scale, float64."""
        return self._damping(k, pixel_size) * self.scale[..., None]

    def phase(self, k: Float[Tensor, "p 2"], pixel_size: float) -> Float[Tensor, "*batch p"]:
        """What the CTF is the sine of, in radians, float64."""
        kx, ky = (k.double() / pixel_size).unbind(-1)
        radius2 = kx * kx + ky * ky
        # cos 2(θ - α) s² written in kx, ky: no angle of k is needed, and the phase is one matrix product
        basis = torch.stack([radius2, kx * kx - ky * ky, 2 * kx * ky, radius2 * radius2, torch.ones_like(kx)])
        return self._phase_coefficients() @ basis

    def defocused(self, change: Float[Tensor, "*batch"]) -> "CTF":
        """The same microscope at another defocus, U and V changed alike (Å): astigmatism stays."""
        return replace(self, defocus_u=self.defocus_u + change, defocus_v=self.defocus_v + change)

    @property
    def _damps(self) -> bool:
        return bool((self.b_factor != 0).any())

    def _damping(self, k: Tensor, pixel_size: float) -> Tensor:
        return torch.exp(-0.25 * self.b_factor[..., None] * (k.double() / pixel_size).square().sum(-1))

    def _phase_coefficients(self) -> Tensor:
        length = wavelength(self.voltage_kv)
        mean, half = self.mean_defocus, (self.defocus_u - self.defocus_v) / 2
        parts = [
            math.pi * length * mean,
            math.pi * length * half * torch.cos(2 * self.astigmatism_angle),
            math.pi * length * half * torch.sin(2 * self.astigmatism_angle),
            -0.5 * math.pi * self.cs_mm * 1e7 * length**3,
            self.phase_shift + torch.asin(self.amplitude_contrast),
        ]
        return torch.stack(parts, dim=-1)

    def _map(self, change: Callable[[Tensor], Tensor]) -> "CTF":
        return CTF(*(change(getattr(self, field.name)) for field in fields(self)))


def _double(value: Any) -> Tensor:
    if isinstance(value, Tensor):
        return value.double()
    return torch.from_numpy(np.array(value, dtype=np.float64))  # a copy: tables hand out read-only arrays
