"""What a program is told: the modular procedure of Donnat et al. 2022, section 4, in which each of pose, shift, CTF and
z is given or hidden, so that a program is scored on what it infers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hypermol.errors import ConfigError
from hypermol.imaging import CTF
from hypermol.particles import write_star
from hypermol.simulation import Truth
from hypermol.simulation.draws import stream


@dataclass(frozen=True)
class Given:
    """pose: rotations; shift: shifts (hidden with the pose: a shift without a rotation helps nobody). defocus_error_um:
    standard deviation (µm) of the Gaussian error in each image's stated defocus; ctf False: no CTF stated at all.
    z: the true conformation, for the oracle."""

    pose: bool = True
    shift: bool = True
    ctf: bool = True
    defocus_error_um: float = 0.0
    z: bool = False

    @staticmethod
    def hiding(hidden: tuple[str, ...], defocus_error_um: float = 0.0) -> Given:
        """Everything but what is named (z is always hidden unless it is an oracle's). Raises ConfigError for words
        other than pose, shift and ctf."""
        unknown = sorted(set(hidden) - {"pose", "shift", "ctf"})
        if unknown:
            raise ConfigError(f"{', '.join(unknown)}: what can be hidden is pose, shift or ctf (z always is)")
        if not 0 <= defocus_error_um < 50:
            raise ConfigError(f"a defocus error of {defocus_error_um} µm: expected 0 or more, below 50")
        pose = "pose" not in hidden
        return Given(pose, pose and "shift" not in hidden, "ctf" not in hidden, defocus_error_um)

    @property
    def label(self) -> str:
        """A name for files: what is withheld; "all" where nothing is."""
        parts = [f"no-{name}" for name in ("pose", "shift", "ctf") if not getattr(self, name)]
        parts += [f"defocus-error-{self.defocus_error_um:g}um"] if self.defocus_error_um else []
        return "_".join(parts) or "all"

    @property
    def words(self) -> str:
        """For a reader: "given: poses, shifts, CTF; hidden: z"."""
        known = {"poses": self.pose, "shifts": self.shift, "CTF": self.ctf, "z": self.z}
        error = f" (defocus ± {self.defocus_error_um:g} µm)" if self.defocus_error_um and self.ctf else ""
        given = ", ".join(name + (error if name == "CTF" else "") for name, told in known.items() if told)
        hidden = ", ".join(name for name, told in known.items() if not told)
        return f"given: {given or 'nothing'}; hidden: {hidden or 'nothing'}"


def write_input(truth: Truth, given: Given, seed: int) -> str:
    """Write the star file that a program is handed beside ``particles.star``, and return its name.

    With everything given it is ``particles.star`` itself. Hidden poses are absent; hidden shifts are zero; the error of
    the defocus is drawn per image, the same for both directions.
    """
    if given.label == "all":
        return "particles.star"
    name = f"input-{given.label}.star"
    images = np.arange(len(truth.image_particle))
    rotation, shift = truth.image_poses(images)
    write_star(
        truth.folder / name,
        "particles.mrcs",
        box=truth.box,
        pixel_size=truth.pixel_size,
        rotation=rotation if given.pose else None,
        shift=(shift if given.shift else np.zeros_like(shift)) if given.pose else None,
        ctf=_stated(truth, given, seed) if given.ctf else None,
        half=truth.half[truth.image_particle],
        count=len(images),
    )
    return name


def _stated(truth: Truth, given: Given, seed: int) -> CTF | None:
    if truth.ctf is None or not given.defocus_error_um:
        return truth.ctf
    error = 1e4 * given.defocus_error_um * stream(seed, "defocus error").normal(size=len(truth.image_particle))
    numbers = {name: getattr(truth.ctf, name).numpy() for name in ("defocus_u", "defocus_v")}
    least = 100.0  # Å: an error never turns underfocus into overfocus
    moved = {name: np.maximum(values + error, least) for name, values in numbers.items()}
    other = ("astigmatism_angle", "voltage_kv", "cs_mm", "amplitude_contrast")
    return CTF.create(moved["defocus_u"], moved["defocus_v"], *(getattr(truth.ctf, name).numpy() for name in other))


def known_z(truth: Truth) -> np.ndarray:
    """The true conformation as coordinates [N, d] for a decoder: whitened angles, (cos, sin) of a circle, or one
    coordinate per state; 0 for junk."""
    if truth.dim == 0:
        states = truth.motion.states()
        return np.eye(max(1, len(states)))[np.maximum(truth.state, 0)] * (truth.junk == 0)[:, None]
    if truth.motion.circular:
        radians = np.deg2rad(np.nan_to_num(truth.conformation))
        z = np.concatenate([np.cos(radians), np.sin(radians)], axis=1)
    else:
        known = truth.conformation[truth.intact]
        z = (truth.conformation - known.mean(axis=0)) / np.maximum(known.std(axis=0), 1e-9)
    return np.where((truth.junk == 0)[:, None], np.nan_to_num(z), 0.0)
