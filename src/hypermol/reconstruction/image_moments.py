"""First, second and third moments of images, averaged over in-plane turns: sums over images, then what the molecule
alone would give (Kam 1980; Bendory, Bartesaghi & Singer 2020, section on the method of moments)."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from torch import Tensor

from hypermol.imaging.lattice import Lattice
from hypermol.reconstruction.rings import RingMap, Rings

FLOOR = 1e-3  # of a ring's power: below it, features are not trusted to their own sampling error
LEAST_TRANSFER = 1e-3  # of the largest mean square of the CTF


@dataclasses.dataclass(frozen=True, eq=False)
class ImageMoments:
    """Moments of each order that is asked for, [n] each in the order of ``Rings.products``: ``value`` complex128,
    ``weight`` the inverse of the variance that sampling gives them, 0 where the CTF let nothing through."""

    value: tuple[Tensor, ...]
    weight: tuple[Tensor, ...]
    count: int

    @staticmethod
    def sums(rings: Rings, map_: RingMap, lattice: Lattice, batch: Any) -> dict[str, Tensor]:
        """What a batch adds: products of features of C X, of the ring means of C², and the noise's own; float64. Every
        image counts, several of a particle too."""
        valid = batch.valid
        ctf = batch.ctf[valid].double()
        feature = map_(batch.images[valid] * batch.ctf[valid])
        ring = torch.nn.functional.one_hot(lattice.shell, lattice.band_limit + 1).to(ctf)
        passed = (ctf.square() @ (ring / ring.sum(0)))[:, rings.ring.to(ctf.device)]
        noise = ctf.square() * batch.variance[valid].double()
        totals = {"count": feature.new_tensor([len(feature)]).real, "noise": noise.sum(0)}
        for places in rings.products:
            order, (a, *more) = len(places), places.to(feature.device)
            product, through = feature[:, a], passed[:, a]
            if order == 1:
                totals["noise by ring"] = through.T @ noise
            for number, b in enumerate(more):
                other = feature[:, b]
                product = product * (other.conj() if number == order - 2 else other)
                through = through * passed[:, b]
            totals[f"moment {order}"] = torch.view_as_real(product.sum(0))
            totals[f"transfer {order}"] = through.sum(0)
        return totals

    @classmethod
    def of(cls, rings: Rings, map_: RingMap, totals: dict[str, Tensor]) -> ImageMoments:
        """Without the noise and the CTF: Σ (C X)(C X) less its noise, over Σ C² C², and so for each order."""
        count = totals["count"][0]
        sums = [torch.view_as_complex(totals[f"moment {order}"].clone()) for order in (1, 2, 3)]
        through = [totals[f"transfer {order}"] for order in (1, 2, 3)]
        ones, pairs, triples = (places.to(count.device) for places in rings.products)
        transfer = [value.clamp(min=LEAST_TRANSFER * float(value.amax())) if len(value) else value for value in through]
        power = _power(rings, pairs, (sums[1] / transfer[1]).real)
        sums[1] = sums[1] - map_.noise(totals["noise"])[pairs[0], pairs[1]]
        mean = sums[0] / transfer[0]
        by_ring = torch.stack([map_.noise(row) for row in totals["noise by ring"]])
        sums[2] = sums[2] - _third_noise(rings, ones[0], triples, mean, by_ring)
        weight = [
            torch.where(known == value, count / power[places].prod(0), 0.0)
            for places, known, value in zip((ones, pairs, triples), through, transfer, strict=True)
        ]
        values = [total / value for total, value in zip(sums, transfer, strict=True)]
        return cls(tuple(values), tuple(weight), int(count))

    @property
    def one_sidedness(self) -> float:
        """Mean square of the imaginary parts of second moments over what sampling alone makes of them: about 1 where
        opposite viewing directions are equally likely, as in a uniform distribution; more where they are not."""
        part = self.weight[1] * self.value[1].imag.square()
        used = part[self.value[1].imag != 0]
        return 2 * float(used.mean()) if len(used) else 0.0


def _power(rings: Rings, pairs: Tensor, second: Tensor) -> Tensor:
    """E |X_a|², noise included, and a little of its ring's."""
    same = pairs[0] == pairs[1]
    own = second[same].clamp(min=0)
    ring = torch.zeros(rings.shells + 1, dtype=own.dtype, device=own.device)
    ring = ring.index_add(0, rings.ring.to(own.device), own)
    return own + FLOOR * ring[rings.ring.to(own.device)]


def _third_noise(rings: Rings, ones: Tensor, triples: Tensor, mean: Tensor, by_ring: Tensor) -> Tensor:
    """Σ E X_a N_b N_c* and its two permutations: a mean that is not 0 (order 0) × the covariance of the noise."""
    order = rings.order.to(mean.device)
    row = torch.zeros(len(order), dtype=torch.int64, device=mean.device)
    row[ones] = torch.arange(len(ones), device=mean.device)
    a, b, c = triples
    found = torch.zeros(len(a), dtype=mean.dtype, device=mean.device)
    for lone, left, right in ((a, b, c), (b, a, c), (c, a, b)):
        # where m_c = 0, m_a = m_b = 0 as well: features of order 0 are real, and N_a N_b is N_a N_b*
        bias = mean.real[row[lone]] * by_ring[row[lone], left, right]
        found = found + torch.where(order[lone] == 0, bias, 0)
    return found
