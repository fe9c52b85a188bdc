"""A made-up run: a molecule of a core and an arm that swings, 3,000 particles, everything a page can show."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hypermol.landscape import LandscapeSettings, analyze
from hypermol.report import Column, Figure, FscCurve, MapSeries, ReportData

BOX, PIXEL, COUNT = 32, 4.0, 3000


def globule(random, centre, count, radius):
    """Points of roughly uniform density in a ball, as a chain wound up."""
    direction = random.normal(size=(count, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    return np.asarray(centre) + radius * np.cbrt(random.uniform(size=(count, 1))) * direction


def molecule():
    """Core and arm (Å, x y z), with a hole and lobes so that slices show something."""
    random = np.random.default_rng(12)
    lobes = [((-9, 0, -14), 150, 13), ((10, 6, -16), 110, 10), ((2, -11, -6), 90, 9)]
    core = np.concatenate([globule(random, *lobe) for lobe in lobes])
    beads = [((0.4 * height, 0, 2 + height), 45, 6.0 if height < 30 else 9.0) for height in range(0, 42, 7)]
    return core, np.concatenate([globule(random, *bead) for bead in beads])


CORE, ARM = molecule()
PIVOT = np.array([0.0, 0, 3])


def volume(angle, tilt=0.0, box=BOX, pixel=PIXEL, sigma=3.4):
    """The map of the molecule with its arm turned (radians): a sum of Gaussians."""
    turn = Rotation.from_euler("yx", [angle, tilt]).as_matrix()
    atoms = np.concatenate([CORE, (ARM - PIVOT) @ turn.T + PIVOT])
    grid = (np.arange(box) - box // 2) * pixel
    x, y, z = (np.exp(-((grid[None] - atoms[:, axis : axis + 1]) ** 2) / (2 * sigma**2)) for axis in range(3))
    return np.einsum("nz,ny,nx->zyx", z, y, x, optimize=True).astype(np.float32)


def decode(z):
    """z → maps: the first coordinate swings the arm, the second lifts it."""
    random = np.random.default_rng(5)
    return np.stack([volume(0.33 * p[0], 0.25 * p[1]) + 0.04 * random.normal(size=(BOX,) * 3) for p in z]).astype("f4")


def latent(random):
    """A curved band with three denser places, in four dimensions of which two are used."""
    place = np.concatenate([random.normal(m, s, n) for m, s, n in ((-2, 0.5, 1100), (0, 0.7, 900), (2.1, 0.45, 1000))])
    second = 0.35 * place**2 - 1 + 0.25 * random.normal(size=COUNT)
    return place, np.stack([place, second, *(0.2 * random.normal(size=(2, COUNT)))], axis=1)


def views(random):
    """Rotations with a preferred view."""
    uniform = Rotation.random(COUNT, random_state=3)
    keep = random.uniform(size=COUNT) < 0.75
    preferred = Rotation.from_euler("ZYZ", random.uniform([0, 60, 0], [360, 90, 360], (COUNT, 3)), degrees=True).inv()
    return np.where(keep[:, None, None], uniform.as_matrix(), preferred.as_matrix())


def passes(random):
    rows = [{"event": "started", "device": "cpu"}]
    for number in range(14):
        loss = 0.92 + 0.11 * np.exp(-number / 2.5) + 0.0006 * random.normal()
        kl = 3.1 * (1 - np.exp(-number / 3.0))
        row = {"event": "pass", "phase": "fit", "pass": number, "loss": loss, "nll": loss - 0.002 * kl, "kl": kl}
        rows.append({**row, "seconds": 21.0 + random.uniform(), "images_per_second": 140 + 5 * random.normal()})
    return rows


def half_maps_and_curves(random):
    truth = volume(0.0)
    noise = [0.35 * random.normal(size=truth.shape).astype("f4") for _ in range(2)]
    halves = [truth + part for part in noise]
    shells = np.arange(BOX // 2)
    masked = 1 / (1 + np.exp((shells - 10.5) / 1.2))
    shown = [
        FscCurve("masked", masked, PIXEL, 0.143, "half maps of shared poses"),
        FscCurve("unmasked", 1 / (1 + np.exp((shells - 9) / 1.4)), PIXEL, 0.143, "half maps of shared poses"),
        FscCurve("phase-randomised", masked * (shells < 6) + 0.03 * random.normal(size=BOX // 2), PIXEL, None),
    ]
    return halves, tuple(shown)


@pytest.fixture(scope="session")
def report_data():
    """Everything a page can hold."""
    random = np.random.default_rng(7)
    place, z = latent(random)
    rotation = views(random)
    z[:, 2] += 0.12 * rotation[:, 2, 0]
    micrograph = np.array([f"FoilHole_{1000 + number // 25:06d}.mrc" for number in range(COUNT)])
    defocus = np.repeat(random.uniform(9e3, 24e3, COUNT // 25), 25)
    found = analyze(z, rotation, defocus, micrograph, settings=LandscapeSettings(clusters=8))
    motions = tuple(
        MapSeries(
            path.name,
            path.title,
            list(decode(path.z)),
            PIXEL,
            tuple(f"map {point} · near particle {particle}" for point, particle in enumerate(path.particle)),
            found.components.project(path.z),
            path.notes,
        )
        for path in found.paths
    )
    words = tuple(f"{n}: {size:,} particles" for n, size in enumerate(found.clusters.size))
    states = MapSeries("states", "Maps at the cluster centres", list(decode(found.clusters.centre)), PIXEL, words)
    halves, curves = half_maps_and_curves(random)
    consensus = MapSeries(
        "consensus",
        "Consensus map and half maps",
        [sum(halves) / 2, *halves],
        PIXEL,
        ("consensus", "half 0", "half 1"),
    )
    facts = (
        ("Method", "cryodrgn (Zhong et al. 2021, Nature Methods 18, 176)"),
        ("Input", "particles.star: 3,000 particles, box 32 px at 4 Å/px"),
        ("Device", "CPU (2 threads), float32"),
        ("Time", "5 min 02 s for 14 passes"),
        ("Seed", "3"),
    )
    figures = (
        Figure("Rank correlation with the true angle", "0.97", "fitted on half 0, scored on half 1; at most 0.98"),
        Figure("Particles nearer to their own map than the consensus", "96 of 100", "FSC mean, moving domain"),
        Figure("Resolution of the consensus", "10.1 Å", "masked half maps at FSC 0.143"),
    )
    return ReportData(
        title="Hinge demonstration",
        facts=facts,
        figures=figures,
        log=passes(random),
        estimates={"rotation": rotation, "z": z},
        landscape=found,
        micrograph=micrograph,
        defocus=defocus,
        columns=(Column("True hinge angle", 20 * place + 2 * random.normal(size=COUNT), "°"),),
        maps=(consensus,),
        states=states,
        motions=motions,
        fsc=curves,
        warnings=("12 particles were skipped because their images hold a constant value (see log.jsonl).",),
        absent=("No UMAP: umap-learn is not installed (pip install 'hypermol[umap]').",),
        settings='format = 1\nmethod = "cryodrgn"\n\n[volume]\nhidden = [256, 256, 256]\nencoding = "geometric"\n',
        version="0.1.0",
    )
