"""Variational encoder: image → Gaussian posterior of z (Zhong et al. 2020, §3.2)."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hypermol.conformations.none import NoConformationEstimator
from hypermol.imaging import image_shifts, shift_phase
from hypermol.networks import Linear
from hypermol.posteriors import Hypotheses, diagonal_covariance, standard_normal_divergence
from hypermol.specs import BuildContext, Count, Dimension, register


@register("conformation", "variational-encoder")
@dataclasses.dataclass(frozen=True)
class VariationalEncoder:
    """Residual MLP on the centred, phase-flipped, whitened Fourier image; one Monte Carlo sample of z in training."""

    z_dim: Annotated[Dimension, "dimensions of z; 0: one map for all"] = 8
    hidden: Annotated[Count, "units of a layer"] = 256
    layers: Annotated[Count, "residual layers"] = 3
    scaling: Annotated[
        Literal["noise", "power"], "what pixels are divided by: the noise's deviation, or that of noise and signal"
    ] = "noise"

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

    def __init__(self, spec: VariationalEncoder, context: BuildContext) -> None:
        super().__init__()
        self.power: Tensor | None
        signal = context.signal_amplitude.float().square() if spec.scaling == "power" else None
        self.register_buffer("power", signal)  # part of the state, so that unseen particles are scaled alike
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
        pixels = torch.view_as_real(phase_flipped(batch, pose, self.power)).flatten(-2)
        # the packed image is sorted by radius, so a band-limited batch uses a prefix of the first layer's weights
        features = F.linear(pixels, self.first.weight[:, : pixels.shape[-1]], self.first.bias)
        features = self.body(F.relu(features))
        valid = batch.valid.to(features.dtype)
        pooled = (features * valid[..., None]).sum(1) / valid.sum(1, keepdim=True).clamp(min=1)
        mean, log_variance = self.head(pooled).chunk(2, -1)
        return mean, log_variance


def phase_flipped(batch: Any, pose: Hypotheses, power: Tensor | None = None) -> Tensor:
    """Images centred by the pose's first hypothesis, times the sign of the CTF, over σ: [B, J, P]. ``power`` [S] of the
    signal, per shell: over the root of σ² + C² power."""
    variance = batch.variance if power is None else batch.variance_with(power)
    images = batch.images * batch.ctf.sign() * variance.rsqrt()
    if pose.shift is not None:
        shift = image_shifts(pose.shift[:, :1], batch.tilt, batch.image_shift)[:, 0] / batch.pixel_size
        images = images * shift_phase(batch.lattice.k, -shift)
    return images
