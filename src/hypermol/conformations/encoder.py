"""Variational encoder: image → Gaussian posterior of z (Zhong et al. 2020, §3.2)."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hypermol.conformations.none import NoConformationEstimator
from hypermol.imaging import Lattice, image_rotations, image_shifts, in_plane_angle, shift_phase, turned_images
from hypermol.networks import Linear
from hypermol.posteriors import Hypotheses, diagonal_covariance, standard_normal_divergence
from hypermol.specs import BuildContext, Count, Dimension, register


@register("conformation", "variational-encoder")
@dataclasses.dataclass(frozen=True)
class VariationalEncoder:
    """Residual MLP on the centred, phase-flipped, whitened Fourier image; one Monte Carlo sample of z in training.

    ``upright`` is not in the paper. Views opposite to z have no in-plane angle and are turned by any; a pose that is
    itself moved by gradient is moved by its shift here, not by the angle.
    """

    z_dim: Annotated[Dimension, "dimensions of z; 0: one map for all"] = 8
    hidden: Annotated[Count, "units of a layer"] = 256
    layers: Annotated[Count, "residual layers"] = 3
    upright: Annotated[bool, "images are turned by their pose's in-plane angle, so that it need not be learned"] = False

    words = "z, by a variational encoder"

    @property
    def z_from(self) -> str:
        """See the room."""
        return "encoder" if self.z_dim else "nothing"

    def build(self, context: BuildContext) -> nn.Module:
        """The encoder network; nothing to infer where there is no z."""
        return VariationalEncoderNetwork(self, context) if self.z_dim else NoConformationEstimator()


class VariationalEncoderNetwork(nn.Module):
    """Features are averaged over a particle's valid images, then there is one head."""

    deviation: Tensor

    def __init__(self, spec: VariationalEncoder, context: BuildContext) -> None:
        super().__init__()
        self.upright = spec.upright
        self.register_buffer("deviation", _deviation(context))  # part of the state: unseen particles are scaled alike
        self.first = Linear(2 * context.points, spec.hidden, relu=False)
        self.body = nn.Sequential(*(Linear(spec.hidden, spec.hidden, skip=True) for _ in range(spec.layers)))
        self.head = nn.Linear(spec.hidden, 2 * spec.z_dim)

    def forward(self, batch: Any, pose: Hypotheses, draws: Any, rows: dict[str, Tensor]) -> Hypotheses:
        """z [B, 1, d]: a sample when training, else the mean; covariance [B, 1, d, d]; divergence [B]."""
        mean, log_variance = self.posterior(batch, pose)
        z = mean
        if self.training:
            z = mean + (0.5 * log_variance).exp() * draws.normal("z", mean.shape[-1], dtype=mean.dtype)
        return Hypotheses(
            z=z[:, None],
            z_covariance=diagonal_covariance(log_variance.exp())[:, None],
            divergence=standard_normal_divergence(mean, log_variance),
            differentiable=True,
        )

    def posterior(self, batch: Any, pose: Hypotheses) -> tuple[Tensor, Tensor]:
        """Mean and log variance of z, [B, d] each."""
        seen = phase_flipped(batch, pose) / self.deviation
        if self.upright and pose.rotation is not None:
            seen = turned_upright(seen, batch, pose.rotation[:, 0])
        pixels = torch.view_as_real(seen).flatten(-2)
        # the packed image is sorted by radius, so a band-limited batch uses a prefix of the first layer's weights
        features = F.linear(pixels, self.first.weight[:, : pixels.shape[-1]], self.first.bias)
        features = self.body(F.relu(features))
        valid = batch.valid.to(features.dtype)
        pooled = (features * valid[..., None]).sum(1) / valid.sum(1, keepdim=True).clamp(min=1)
        mean, log_variance = self.head(pooled).chunk(2, -1)
        return mean, log_variance


def phase_flipped(batch: Any, pose: Hypotheses) -> Tensor:
    """Images centred by the pose's first hypothesis, times the sign of the CTF, over σ: [B, J, P]."""
    images = batch.images * batch.ctf.sign() * batch.variance.rsqrt()
    if pose.shift is not None:
        shift = image_shifts(pose.shift[:, :1], batch.tilt, batch.image_shift)[:, 0] / batch.pixel_size
        images = images * shift_phase(batch.lattice.k, -shift)
    return images


def _deviation(context: BuildContext) -> Tensor:
    """Root mean square of an image over σ: one number for all pixels, so that what little noise hides stays the larger
    part of what is seen, and the network begins alike with hardly any noise and with much."""
    noise = context.noise_amplitude.float().clamp(min=1e-12)
    ratio = (context.signal_amplitude.float() / noise).square()
    shell = Lattice.disc(context.box).shell
    return (1 + ratio[shell.to(ratio.device)].mean()).sqrt()


def turned_upright(images: Tensor, batch: Any, rotation: Tensor) -> Tensor:
    """Centred images [B, J, P] as they are where the in-plane angle of their poses, ``rotation`` [B, 3, 3], is 0."""
    angle = in_plane_angle(image_rotations(rotation.detach()[:, None], batch.tilt)[:, 0])
    return turned_images(images, batch.lattice, -angle)
