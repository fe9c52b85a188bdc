"""Are the particles bright or dark? DESIGN §2: positive density makes a bright particle."""

from __future__ import annotations

import torch

from hypermol.errors import ConfigError
from hypermol.shapes import Float

CLEAR_SIGMA = 5.0
WIDTH = 0.1
_CHUNK = 64


def contrast_sigma(images: Float[torch.Tensor, "n d d"]) -> float:
    """How clearly the centres of images are brighter (positive) or darker (negative) than the rest, in σ.

    Each image is compared with a Gaussian blob (standard deviation 0.1 D) at every place. The value at the
    centre is expressed in standard deviations over all places, which are what noise of the same colour gives
    by chance, and these scores are summed over images and divided by √n: unit variance without particles.
    """
    if not len(images):
        raise ConfigError("contrast: expected at least one image, found none")
    box = images.shape[-1]
    axis = torch.arange(box, device=images.device, dtype=torch.float32) - box // 2
    blob = torch.exp(-(axis[:, None] ** 2 + axis[None, :] ** 2) / (2 * (WIDTH * box) ** 2))
    blob_ft = torch.fft.rfft2(torch.fft.ifftshift(blob))
    total = 0.0
    for chunk in images.split(_CHUNK):
        centred = chunk - chunk.mean((-2, -1), keepdim=True)
        matched = torch.fft.irfft2(torch.fft.rfft2(centred) * blob_ft, s=(box, box))
        deviation = matched.std((-2, -1)).clamp(min=torch.finfo(torch.float32).tiny)
        total += float((matched[:, box // 2, box // 2] / deviation).double().sum())
    return total / len(images) ** 0.5


def choose_sign(wanted: int | str, stated: int | None, sigma: float) -> tuple[int, str]:
    """The factor (+1 or -1) that makes particles bright, and the reason in words.

    ``wanted`` is what the user says (+1, -1 or "auto"), ``stated`` what the file says, ``sigma`` the detected
    contrast; detection decides only where it is clear (5σ) and nobody else says anything.
    """
    seen = f"contrast {sigma:+.1f} sigma"
    if wanted != "auto":
        if wanted not in (1, -1):
            raise ConfigError(f'sign: expected "auto", 1 or -1, found {wanted!r}')
        return int(wanted), f"sign {int(wanted):+d} as asked ({seen})"
    if stated is not None:
        doubt = ", which the images contradict" if stated * sigma < -CLEAR_SIGMA else ""
        return stated, f"sign {stated:+d} from the file ({seen}{doubt})"
    if sigma <= -CLEAR_SIGMA:
        return -1, f"dark particles ({seen}): the sign of all images is flipped"
    if sigma >= CLEAR_SIGMA:
        return 1, f"bright particles ({seen})"
    return 1, f"contrast sign unclear ({seen}): images are taken as they are"
