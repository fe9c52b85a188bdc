"""Shifts of images as phases in Fourier space."""

import math

import torch
from torch import Tensor

from hypermol.shapes import Complex, Float


def shift_phase(k: Float[Tensor, "p 2"], shift_px: Float[Tensor, "*batch 2"]) -> Complex[Tensor, "*batch p"]:
    """exp(-2πi k·t): multiplying a transform by it moves the image by t = (x, y) pixels.

    k: cycles/pixel. The image content at r appears at r + t.
    """
    turns = shift_px @ k.mT.to(shift_px.dtype)
    # whole turns are dropped first: sine and cosine of small angles keep their last digits
    angle = -2 * math.pi * (turns - torch.round(turns))
    return torch.complex(torch.cos(angle), torch.sin(angle))
