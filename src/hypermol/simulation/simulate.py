"""Simulating a data set: recipe in, folder out (DESIGN §5)."""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from hypermol import __version__, specs
from hypermol.errors import ConfigError
from hypermol.maps.files import write_map
from hypermol.particles.stack import StackWriter
from hypermol.particles.write import write_star
from hypermol.simulation.draws import Drawn, draw, image_poses, largest_shift_px, white_noise
from hypermol.simulation.junk import BROKEN, EMPTY, INTACT, fragments
from hypermol.simulation.model_files import write_models
from hypermol.simulation.motion_files import save_motion
from hypermol.simulation.motions import Arrangements
from hypermol.simulation.parallel import in_tiles
from hypermol.simulation.project import Camera, padded_box, project_gaussians
from hypermol.simulation.recipe import Recipe, check_recipe
from hypermol.simulation.systems import Molecule, build_molecule
from hypermol.simulation.truth import Truth, save_truth

TILE = 16
"""Images formed at once: small enough for the processor's cache. It never changes a result."""

Progress = Callable[[str, int, int], None]
"""Called with (stage, done, total)."""


def simulate(recipe: Recipe, out: Path | str, progress: Progress | None = None) -> Path:
    """Make the data set of a recipe in the new folder ``out``, and return that folder (see ``Truth.load``).

    Two passes: clean images first, whose variance over all pixels of the set fixes the signal-to-noise ratio,
    then noise. Images are scaled so that the noise has variance 1 (or, without noise, the signal has).
    The folder appears only when it is complete; until then the disk holds the stack twice. Raises ConfigError
    for impossible recipes and an ``out`` that exists, DataError for unreadable models.
    """
    out = Path(out)
    check_recipe(recipe)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(f"{out}: already exists; choose another folder or delete it first")
    molecule = build_molecule(recipe)
    with _new_folder(out) as folder:
        _simulate_into(folder, recipe, molecule, progress or (lambda stage, done, total: None))
    return out


def _simulate_into(folder: Path, recipe: Recipe, molecule: Molecule, progress: Progress) -> None:
    drawn = draw(recipe, molecule.motion, molecule.pixel_size)
    camera = _camera(recipe, molecule, drawn)
    clean = folder / "clean.partial"
    variance = _write_clean(clean, drawn, molecule, camera, recipe.seed, progress)
    scale = float(np.sqrt((recipe.snr if np.isfinite(recipe.snr) else 1.0) / variance))
    truth = _truth(folder, recipe, molecule, drawn, camera, scale)
    _write_stack(clean, truth, recipe.seed, progress)
    clean.unlink()
    _write_metadata(truth)
    _write_states(truth, progress)
    _write_settings(folder, recipe, molecule, truth, variance)


@contextmanager
def _new_folder(out: Path) -> Iterator[Path]:
    partial = out.parent / f".{out.name}.{os.getpid()}.partial"
    try:
        (partial / "atoms").mkdir(parents=True)  # a keyboard's signal may come from here on
        yield partial
        if out.exists():
            out.rmdir()
        os.replace(partial, out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _camera(recipe: Recipe, molecule: Molecule, drawn: Drawn) -> Camera:
    defocus = None if drawn.ctf is None else float(drawn.ctf.defocus_u.max())
    reach = molecule.radius + 3 * molecule.sigma + np.sqrt(2) * largest_shift_px(recipe) * molecule.pixel_size
    padded = padded_box(
        recipe.box,
        molecule.pixel_size,
        reach,
        defocus,
        voltage_kv=recipe.voltage_kv,
        cs_mm=recipe.cs_mm,
    )
    return Camera(recipe.box, padded, molecule.pixel_size, molecule.sigma)


def _write_clean(path: Path, drawn: Drawn, molecule: Molecule, camera: Camera, seed: int, progress: Progress) -> float:
    """Write all clean images as raw float32 and return the variance of all their pixels, junk left out."""
    total, squares, images = 0.0, 0.0, len(drawn.image_particle)
    intact = drawn.junk[drawn.image_particle] == INTACT

    def work(tile: np.ndarray) -> np.ndarray:
        return _clean_images(tile, drawn, molecule, camera, seed)

    with open(path, "wb") as file:
        for tile, pixels in in_tiles(work, images, TILE):
            pixels.tofile(file)
            counted = pixels if intact[tile].all() else pixels[intact[tile]]
            total += float(counted.sum(dtype=np.float64))
            squares += float(np.square(counted, dtype=np.float64).sum())
            progress("images", int(tile[-1]) + 1, images)
    count = int(intact.sum()) * camera.box**2
    return squares / count - (total / count) ** 2


def _clean_images(tile: np.ndarray, drawn: Drawn, molecule: Molecule, camera: Camera, seed: int) -> np.ndarray:
    particle = drawn.image_particle[tile]
    positions, weights = _atoms(particle, drawn, molecule, seed)
    rotations, shifts = image_poses(drawn.rotation, drawn.shift, drawn.tilt[tile], particle)
    transfer = None if drawn.ctf is None else camera.transfer(drawn.ctf[tile])
    images = project_gaussians(positions, weights, rotations, shifts, camera, transfer).numpy()
    return np.ascontiguousarray(images * drawn.contrast[tile, None, None].astype(np.float32))


def _atoms(particle: np.ndarray, drawn: Drawn, molecule: Molecule, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions [m, n, 3] and weights [m, n] of what each of these particles shows."""
    motion, junk = molecule.motion, drawn.junk[particle]
    if not junk.any():
        return motion.atoms(motion.points(drawn.conformation[particle], drawn.state[particle]))
    usual = motion.points(np.nan_to_num(drawn.conformation[particle]), np.maximum(drawn.state[particle], 0))
    positions, weights = (np.array(values) for values in motion.atoms(usual))
    weights[junk == EMPTY] = 0.0
    chain = motion.models[0].chain if isinstance(motion, Arrangements) else motion.model.chain
    for row in np.flatnonzero(junk == BROKEN):
        held = slice(0, len(chain))
        positions[row, held] = fragments(positions[row, held], chain, seed, int(particle[row]))
    return positions, weights


def _truth(folder: Path, recipe: Recipe, molecule: Molecule, drawn: Drawn, camera: Camera, scale: float) -> Truth:
    return Truth(
        folder=folder,
        name=recipe.name,
        motion=molecule.motion,
        **{field.name: getattr(drawn, field.name) for field in dataclasses.fields(drawn)},
        noise_variance=1.0 if np.isfinite(recipe.snr) else 0.0,
        scale=scale,
        sigma=molecule.sigma,
        pixel_size=molecule.pixel_size,
        box=camera.box,
        padded=camera.padded,
    )


def _write_stack(clean: Path, truth: Truth, seed: int, progress: Progress) -> None:
    images, box = len(truth.image_particle), truth.box
    source = np.memmap(clean, dtype=np.float32, mode="r", shape=(images, box, box))

    def work(tile: np.ndarray) -> np.ndarray:
        pixels = np.float32(truth.scale) * source[tile[0] : tile[-1] + 1]
        return pixels + white_noise(seed, tile, box) if truth.noise_variance > 0 else pixels

    with StackWriter(truth.folder / "particles.mrcs", box, truth.pixel_size) as stack:
        for tile, pixels in in_tiles(work, images, 16 * TILE):
            stack.append(pixels)
            progress("noise", int(tile[-1]) + 1, images)


def _write_metadata(truth: Truth) -> None:
    images = np.arange(len(truth.image_particle))
    rotations, shifts = truth.image_poses(images)
    per_particle = len(images) // truth.count
    names = [f"particle-{particle:06d}" for particle in truth.image_particle]
    write_star(
        truth.folder / "particles.star",
        "particles.mrcs",
        box=truth.box,
        pixel_size=truth.pixel_size,
        rotation=rotations,
        shift=shifts,
        ctf=truth.ctf,
        half=truth.half[truth.image_particle],
        # one field of view per tilt: the images of a pair share a group but never a micrograph
        micrograph=[f"micrograph-tilt{image % per_particle}.mrc" for image in images],
        group=names if per_particle > 1 else None,
    )
    save_truth(truth.folder, truth)


def _write_states(truth: Truth, progress: Progress) -> None:
    motion, states = truth.motion, truth.motion.states()
    atoms = truth.folder / "atoms"
    save_motion(atoms / "motion.npz", motion)
    names = [f"state-{number:03d}" for number in range(len(states))]
    if isinstance(motion, Arrangements):
        for name, model in zip(names, motion.models):
            write_models([atoms / f"{name}.cif"], model, [model.coordinates])
    else:
        shapes = (motion.atoms(state[None])[0][0] for state in states)
        write_models([atoms / f"{name}.cif" for name in names], motion.model, shapes)
    for number, name in enumerate(names):
        write_map(truth.folder / "volumes" / f"{name}.mrc", truth.map_of_state(number), truth.pixel_size)
        progress("maps", number + 1, len(states))


def _write_settings(folder: Path, recipe: Recipe, molecule: Molecule, truth: Truth, variance: float) -> None:
    import tomli_w

    diameter, extent = 2 * molecule.radius, truth.box * truth.pixel_size
    settings = {
        "format": 1,
        "hypermol": __version__,
        "recipe": specs.to_dict(recipe),
        "measured": {
            "signal_variance": variance * truth.scale**2,
            "noise_variance": truth.noise_variance,
            "signal_to_noise": recipe.snr,
            "junk_particles": int((truth.junk > 0).sum()),
            "molecule_diameter_angstrom": diameter,
            "box_extent_angstrom": extent,
            "molecule_to_box": diameter / extent,
            "pixel_size_angstrom": truth.pixel_size,
            "padded_box_px": truth.padded,
        },
    }
    (folder / "simulation.toml").write_text(tomli_w.dumps(settings))
