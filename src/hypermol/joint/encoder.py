"""An encoder that answers for pose and z at once: image → features → z → rotation and shift given both."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any

import torch
from torch import Tensor, nn

from hypermol.errors import ConfigError
from hypermol.imaging import Lattice, packed_to_images, s2s2_to_matrix, viewing_direction
from hypermol.joint.symmetrised import Copies, Symmetrised, copies_of
from hypermol.networks import (
    ConvolutionalFeatures,
    GaussianFilters,
    normalised_perceptron,
    perceptron,
    references_once,
    shrink_output_,
    spread_outputs_,
)
from hypermol.posteriors import Hypotheses, diagonal_covariance, standard_normal_divergence
from hypermol.shapes import Complex, Float
from hypermol.specs import BuildContext, Count, Dimension, NonNegative, register

Z_DRAWN = "drawn z"
"""Row under which an encoder is told z [B, d] instead of inferring it: while poses alone are learned."""
Z_HEAD = "z_head"
REFERENCES = 64
"""Images by which the layers of an encoder are normalised."""
CACHED = 2**20
"""Numbers of the widest layer that a processor works on at once where no gradient is asked: what its caches hold."""


@register("pose", "encoder")
@dataclasses.dataclass(frozen=True)
class AmortisedEncoder:
    """Encoder of cryoFIRE (Levy et al. 2022, §3.3) and, without z, of cryoAI and CryoPoseNet.

    Convolutions, then layers shared by all answers, then z, then rotation (S²×S², Gram-Schmidt) and shift, which see
    the features and z. ``copies`` is the symmetrised loss (eq. 6): see ``Symmetrised``. One image per particle.
    """

    z_dim: Annotated[Dimension, "dimensions of z; 0: one map for all"] = 8
    channels: Annotated[Count, "of the first two convolutions; twice and four times as many later"] = 32
    hidden: Annotated[Count, "units of the layers shared by all answers, and features that they give"] = 256
    layers: Annotated[Count, "hidden layers that all answers share"] = 2
    filters: Annotated[Dimension, "blurred copies of the image that the encoder sees besides (cryoAI)"] = 0
    variational: Annotated[bool, "a Gaussian posterior of z, not a point"] = False
    shifts: Annotated[bool, "molecules may be off centre"] = True
    phase_flipped: Annotated[bool, "the encoder sees images times the sign of their CTF"] = False
    even_start: Annotated[bool, "rotations are spread over all directions at the start"] = True
    even_views: Annotated[
        NonNegative,
        "nats per particle by which uneven viewing directions are punished (not in the papers): an encoder else begins "
        "with one view of all images; too strong where a molecule truly has preferred views",
    ] = 0.0
    copies: Annotated[
        Copies,
        "turned copies of an image that are encoded, the best of which counts: the symmetrised loss is half-turn",
    ] = "half-turn"
    mirrored: Annotated[bool, "reflected copies as well"] = False
    heads: Annotated[
        Count,
        "answers of rotation and shift for each copy, the best of which counts (not in these papers: multi-choice "
        "learning of Shekarforoush et al. 2024, cryoSPIN)",
    ] = 1

    words = "pose and z, by an encoder"
    needs_poses = False

    def build(self, context: BuildContext) -> nn.Module:
        """The estimator. Raises ConfigError for boxes that are too small, or particles of several images."""
        if context.several_images:
            raise ConfigError(_ONE_IMAGE)
        encoder = EncoderNetwork(self, context)
        moves = copies_of(self.copies, self.mirrored)
        return Symmetrised(encoder, moves) if len(moves) > 1 else encoder


_ONE_IMAGE = (
    "the encoder of poses (pose = encoder) sees one image per particle; these particles have several (tilts): "
    "take `-m cryodrgn2` or `-m ppca-abinitio`"
)


class EncoderNetwork(nn.Module):
    """The working part. ``infer`` takes images that were made ready (``seen``), in any number of copies. ``reference``:
    some images of the set it was trained on, by which layers are normalised; kept with the parameters."""

    reference: Tensor

    def __init__(self, spec: AmortisedEncoder, context: BuildContext) -> None:
        super().__init__()
        box, z = context.box, spec.z_dim
        self.z_dim, self.variational, self.flipped = z, spec.variational, spec.phase_flipped
        self.autocast, self.even_views, self.heads = context.autocast, spec.even_views, spec.heads
        spectrum = 1 + (context.signal_amplitude / context.noise_amplitude.clamp(min=1e-12)).square().float()
        self.filters = GaussianFilters(spec.filters, box, spectrum)
        reference = self._reference(context, spectrum)
        self.register_buffer("reference", torch.view_as_real(reference).contiguous())
        count = len(reference)
        self.convolutions = ConvolutionalFeatures(box, spec.filters + 1, spec.channels, count)
        self.shared = normalised_perceptron(count, self.convolutions.size, *(spec.hidden,) * (spec.layers + 1))
        if z:
            self.z_head = perceptron(spec.hidden, spec.hidden, 2 * z if spec.variational else z)
        self.rotation_head = perceptron(spec.hidden + z, spec.hidden, 6 * spec.heads)
        self.shift_head = perceptron(spec.hidden + z, spec.hidden, 2 * spec.heads) if spec.shifts else None
        self._begin(spec, Lattice.disc(box))

    def _reference(self, context: BuildContext, spectrum: Tensor) -> Complex[Tensor, "r p"]:
        """Images of the set made ready; noise of their spectrum where there are none (a run rebuilt, which has its
        own)."""
        if context.examples is not None:
            return self.seen(context.examples(REFERENCES)).cpu()
        shell = Lattice.disc(context.box).shell
        noise = torch.randn(min(REFERENCES, context.count), len(shell), dtype=torch.complex64)
        return noise * spectrum[shell].sqrt()

    @torch.no_grad()
    def _begin(self, spec: AmortisedEncoder, lattice: Lattice) -> None:
        """Begin centred and, where asked, with rotations spread evenly over the reference images."""
        if self.shift_head is not None:
            shrink_output_(self.shift_head, 0.01)
        if spec.even_start:
            features = self.features(torch.view_as_complex(self.reference), lattice)
            z = torch.randn(len(features), self.z_dim)
            spread_outputs_(self.rotation_head, torch.cat([features, z], -1))

    def forward(self, batch: Any, draws: Any, rows: dict[str, Tensor]) -> Hypotheses:
        """rotation [B, 1, 3, 3], shift [B, 1, 2] Å and, where there is one, z [B, 1, d] (with its covariance and
        divergence where it has a posterior). Raises ConfigError for particles of several images."""
        return self.infer(self.seen(batch)[:, None], batch, draws, rows)

    def seen(self, batch: Any) -> Complex[Tensor, "b p"]:
        """The images over σ, and times the sign of the CTF where asked."""
        if batch.images.shape[1] != 1:
            raise ConfigError(_ONE_IMAGE)
        images = batch.images[:, 0] * batch.variance[:, 0].rsqrt()
        return images * batch.ctf[:, 0].sign() if self.flipped else images

    def features(self, images: Complex[Tensor, "*b p"], lattice: Lattice) -> Float[Tensor, "*b f"]:
        """What all answers are made from."""
        return self._features(images, lattice)[1]

    def _features(self, images: Tensor, lattice: Lattice) -> tuple[Tensor, Tensor]:
        """Of the reference [r, f], and of some images."""
        reference, others = torch.view_as_complex(self.reference)[:, : lattice.size], images.flatten(0, -2)
        if torch.is_grad_enabled() or others.is_cuda:
            found = self._layers(torch.cat([reference, others]), lattice)
            own, others = found.tensor_split([len(reference)])
        else:
            with references_once(self.convolutions, self.shared):
                own = self._layers(reference, lattice)
                rows = max(1, CACHED // (self.convolutions.channels * lattice.box**2))
                others = torch.cat([self._layers(part, lattice) for part in others.split(rows)])
        return own, others.unflatten(0, images.shape[:-1])

    def _layers(self, images: Complex[Tensor, "n p"], lattice: Lattice) -> Float[Tensor, "n f"]:
        pixels = packed_to_images(self.filters(images, lattice.k), lattice)
        with torch.autocast(pixels.device.type, dtype=torch.bfloat16, enabled=self.autocast):
            return self.shared(self.convolutions(pixels)).float()

    def infer(self, images: Complex[Tensor, "b h p"], batch: Any, draws: Any, rows: dict[str, Tensor]) -> Hypotheses:
        """As many hypotheses for each of H images of a particle that were made ready as there are heads."""
        reference, features = self._features(images, batch.lattice)
        z, posterior = self._z(features, draws, rows)
        if self.training and self.even_views:
            posterior["penalty"] = self.even_views * self._unevenness(reference, Z_DRAWN in rows).expand(len(images))
        known = features if z is None else torch.cat([features, z], -1)
        rotation = s2s2_to_matrix(self.rotation_head(known).unflatten(-1, (self.heads, 6))).flatten(1, 2)
        if self.shift_head is None:
            shift = rotation.new_zeros(*rotation.shape[:2], 2)
        else:
            shift = self.shift_head(known).unflatten(-1, (self.heads, 2)).flatten(1, 2) * batch.pixel_size
        if self.heads > 1:  # of one z each
            z = None if z is None else z.repeat_interleave(self.heads, 1)
            per_copy = {name for name in ("z_covariance", "divergence") if name in posterior}
            posterior |= {name: posterior[name].repeat_interleave(self.heads, 1) for name in per_copy}
        return Hypotheses(rotation=rotation, shift=shift, z=z, differentiable=True, **posterior)

    def _unevenness(self, features: Tensor, z_drawn: bool) -> Tensor:
        """|E v|² + ‖E v vᵀ - I/3‖² of the reference's viewing directions v: 0 where they are even."""
        if self.z_dim:
            z = self.z_head(features)[:, : self.z_dim]
            features = torch.cat([features, torch.zeros_like(z) if z_drawn else z], -1)
        found = self.rotation_head(features).unflatten(-1, (self.heads, 6)).flatten(0, 1)
        view = viewing_direction(s2s2_to_matrix(found))
        second = view.T @ view / len(view) - torch.eye(3, device=view.device) / 3
        return view.mean(0).square().sum() + second.square().sum()

    def _z(self, features: Tensor, draws: Any, rows: dict[str, Tensor]) -> tuple[Tensor | None, dict[str, Tensor]]:
        """z [B, H, d] (a sample of its posterior in training, else the mean), and what is said of its posterior."""
        if self.z_dim == 0:
            return None, {}
        if Z_DRAWN in rows:
            return rows[Z_DRAWN][:, None].expand(-1, features.shape[1], -1), {}
        found = self.z_head(features)
        if not self.variational:
            return found, {}
        mean, log_variance = found.chunk(2, -1)
        posterior = {
            "z_covariance": diagonal_covariance(log_variance.exp()),
            "divergence": standard_normal_divergence(mean, log_variance),
        }
        if self.training:  # one draw for all copies of a particle
            unit = draws.normal("z", self.z_dim, dtype=mean.dtype)[:, None]
            mean = mean + (0.5 * log_variance).exp() * unit
        return mean, posterior
