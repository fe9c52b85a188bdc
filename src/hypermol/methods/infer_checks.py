"""Do other particles fit a run? Their images, their CTF, and the frame that their poses are in."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hypermol.engine import State
from hypermol.errors import ConfigError, ConventionError
from hypermol.methods.masks import UNEQUAL
from hypermol.methods.record import finds_poses, run_method, run_preparation
from hypermol.methods.unseen import fit_rows
from hypermol.particles import ImageSource, Particles, Preparation, posed_name
from hypermol.runs import Run
from hypermol.shell import quoted

LOOKED_AT = 400
PLAIN = 0.5  # of the signal expected, by another convention: less proves nothing
FAINT = 0.25  # of the signal expected: less is another molecule, or another frame
CLEAR = 5.0
"""Standard errors by which another hand or sign must fit better before poses are refused."""


def require_alike(particles: Particles, own: Particles | None, run: Run, state: State) -> Preparation:
    """How their images are to be prepared, so that they are as those of the run. ``own``: the run's particles, where
    their files are still there. Raises ConfigError that says what does not fit, and what to do."""
    method = run_method(run)
    if not finds_poses(method) and not particles.has_poses:
        reference = quoted(run.volumes / "consensus.mrc")
        raise ConfigError(
            f"{particles.path} has no poses, and {method.name} infers none; poses in the frame of this run are found "
            f"by `hypermol train {quoted(particles.path)} -m refine --set reference={reference} -o POSED`, then "
            f"`hypermol infer {quoted(run.path)} POSED/{posed_name(particles)} -o OUT`"
        )
    if own is not None and (own.ctf is None) != (particles.ctf is None):
        has, lacks = (own.path, particles.path) if particles.ctf is None else (particles.path, own.path)
        raise ConfigError(
            f"{has} has a CTF and {lacks} has none, so that the same molecule looks different in them; give both a CTF "
            "(rlnDefocusU, … or ctf/df1_A, …, or --ctf), or neither"
        )
    return _preparation(particles, run, int(state.data["box"]), float(state.data["pixel_size"]))


def _preparation(particles: Particles, run: Run, box: int, pixel_size: float) -> Preparation:
    seen, wanted = particles.box * particles.pixel_size, box * pixel_size
    if abs(seen / wanted - 1) > UNEQUAL:
        raise ConfigError(
            f"{particles.path}: its images show {seen:.5g} Å ({particles.box} px of {particles.pixel_size:.4g} Å), "
            f"those of {run.path} {wanted:.5g} Å ({box} px of {pixel_size:.4g} Å); pixels can be made coarser here, "
            "the view not wider or narrower: extract the particles again with a box of "
            f"{2 * round(wanted / particles.pixel_size / 2)} px, or say --pixel-size where the file's is wrong"
        )
    if particles.box < box:
        raise ConfigError(
            f"{particles.path}: its images have pixels of {particles.pixel_size:.4g} Å, coarser than the "
            f"{pixel_size:.4g} Å of {run.path}: what the run learned of finer detail cannot be looked for; extract the "
            f"particles with a box of {box} px or more over the same view"
        )
    return dataclasses.replace(run_preparation(run), box=None if particles.box == box else box)


def require_same_frame(volume: Any, z: np.ndarray | None, source: ImageSource, run: Run) -> str | None:
    """A sentence where the images of particles with given poses have little in common with the run's mean map; None
    where they do. Raises ConventionError where they fit it clearly better by another convention: the other hand, or
    shifts of the opposite sign."""
    chosen = torch.from_numpy(
        np.unique(np.linspace(0, source.count - 1, min(LOOKED_AT, source.count)).astype(np.int64))
    )
    parts = [_tried(volume, z, batch) for batch in source.stream(chosen.split(100))]
    overlap, power = torch.stack(parts).sum(0)
    fit, error = overlap / power, (2 * power).rsqrt()
    own, best = float(fit[0]), int(fit.argmax())
    path = source.particles.path
    if float(fit[best]) > PLAIN and float(fit[best] - fit[0]) > CLEAR * float(error[best]):
        why, cure = ALTERNATIVES[best - 1]
        raise ConventionError(
            f"{path}: {why}: the images agree with the maps of {run.path} {own:.2f} at the poses as they are, and "
            f"{float(fit[best]):.2f} that way (1: as well as expected); "
            f"{cure.format(word=quoted(path), suffix=path.suffix)}"
        )
    if own > max(FAINT, CLEAR * float(error[0])):
        return None
    reference = quoted(run.volumes / "consensus.mrc")
    return (
        f"at the poses given the images have little in common with the maps of {run.path} (fit {own:.2f} ± "
        f"{float(error[0]):.2f}, 1 is as expected): another molecule, or poses in another frame; poses in this one are "
        f"found by `hypermol train {quoted(path)} -m refine --set reference={reference} -o POSED`"
    )


ALTERNATIVES = (
    ("its poses are of the other hand", "`hypermol flip {word} -o flipped{suffix}` turns them, then infer that file"),
    ("its shifts have the opposite sign", "correct rlnOriginXAngst and rlnOriginYAngst (or alignments3D/shift)"),
)


def _tried(volume: Any, z: np.ndarray | None, batch: Any) -> Tensor:
    """Σ of overlap and of power, [2, 3]: poses as given, of the other hand, shifts of the opposite sign."""
    mirror = torch.diag(torch.tensor([1.0, 1.0, -1.0])).to(batch.rotation)
    middle = None if z is None else torch.from_numpy(z).float().to(batch.images.device).expand(batch.size, -1)
    tried = (
        (batch.rotation, batch.shift),
        (mirror @ batch.rotation @ mirror, batch.shift),
        (batch.rotation, -batch.shift),
    )
    sums = []
    for rotation, shift in tried:
        rows = fit_rows(
            volume, batch, {"rotation": rotation, "shift": shift} | ({} if middle is None else {"z": middle})
        )
        power = rows["fit_error"].double().square().reciprocal() / 2
        sums.append(torch.stack([(rows["fit"].double() * power).sum(), power.sum()]))
    return torch.stack(sums, 1)
