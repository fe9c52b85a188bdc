"""Refinement of a symmetric molecule: equal poses are one, and each image tells of every part that is the same."""

import dataclasses

import numpy as np
import pytest
import torch

from hypermol.errors import ConfigError
from hypermol.imaging import geodesic_angle_deg, rotvec_to_matrix, symmetry_rotations
from hypermol.kernels import volume_to_grid
from hypermol.maps import align_maps, centred_sphere, low_pass, read_map, resized, transform_map, write_map
from hypermol.methods import configured, find_method, train
from hypermol.methods.context import build_context
from hypermol.methods.refine_steps import Steps
from hypermol.metrics import fsc, fsc_mean
from hypermol.particles import ImageSource, read_particles
from hypermol.reconstruction import shell_mean
from hypermol.simulation import Recipe, Truth, simulate

SETTINGS = {"search_passes": 2, "local_passes": 1}


@pytest.fixture(scope="module")
def tetramer(tmp_path_factory):
    """240 noisy images of four equal subunits (D2), and a blurred map in a smaller box with larger pixels, its
    densities in other units."""
    folder = tmp_path_factory.mktemp("tetramer")
    random = np.random.default_rng(4)
    unit = random.normal(size=(60, 3)) * 7.0 + (13.0, 9.0, 15.0)
    atoms = np.concatenate([unit @ element.T for element in symmetry_rotations("D2").numpy()])
    np.savez(folder / "atoms.npz", coordinates=atoms, weight=np.ones(len(atoms)))
    model = str(folder / "atoms.npz")
    simulate(
        Recipe(name="homogeneous", model=model, sigma=3.0, n=240, box=32, pixel_size=3.6, snr=0.15, seed=5, shift_px=1),
        folder / "data",
    )
    truth = Truth.load(folder / "data")
    rough = resized(low_pass(truth.map(0).float(), truth.pixel_size, 25.0), truth.pixel_size, 24, 4.8)
    write_map(folder / "rough.mrc", 40 * rough, 4.8)
    return folder, truth


def refined(folder, run, **settings):
    method = configured(find_method("refine"), {**SETTINGS, "reference": str(folder / "rough.mrc"), **settings})
    return train(folder / "data" / "particles.star", method, run, seed=0)


def likeness(run, truth):
    found, exact = read_map(run.volumes / "consensus.mrc")[0], truth.map(0).float()
    return float(fsc_mean(fsc(found, exact, truth.mask().float())[:13]))


def test_poses_are_right_up_to_the_group_and_the_map_is_better(tetramer, tmp_path):
    folder, truth = tetramer
    with_group, without = refined(folder, tmp_path / "d2", symmetry="D2"), refined(folder, tmp_path / "c1")
    group, found = symmetry_rotations("D2"), torch.from_numpy(with_group.estimates()["rotation"]).double()
    apart = geodesic_angle_deg(found[:, None], torch.from_numpy(truth.rotation)[:, None] @ group).amin(1)
    assert float(apart.median()) < 6
    assert likeness(with_group, truth) > likeness(without, truth) + 0.05
    map_ = read_map(with_group.volumes / "consensus.mrc")[0]
    for element in group[1:]:
        assert float(fsc(transform_map(map_, element, torch.zeros(3)), map_)[1:10].min()) > 0.99


@pytest.fixture(scope="module")
def elsewhere(tetramer):
    """The blurred map, turned and moved: a map that a run without symmetry has found."""
    folder, _ = tetramer
    rough, pixel_size = read_map(folder / "rough.mrc")
    turn = rotvec_to_matrix(torch.tensor([0.5, -0.8, 0.3], dtype=torch.float64))
    write_map(folder / "elsewhere.mrc", transform_map(rough, turn, torch.tensor([1.0, -1.5, 0.5])), pixel_size)
    return str(folder / "elsewhere.mrc")


def test_axes_that_are_elsewhere_are_put_right_and_it_is_said(tetramer, elsewhere, tmp_path):
    """As good a map as from the reference in place, up to which axis is which."""
    folder, truth = tetramer
    run = refined(folder, tmp_path / "run", symmetry="D2", reference=elsewhere)
    assert any("was moved: its axes of D2" in event["text"] for event in run.log() if event["event"] == "note")
    map_, exact = read_map(run.volumes / "consensus.mrc")[0], truth.map(0).float()
    alike = fsc(align_maps(map_, exact, either_hand=False).aligned, exact, truth.mask().float())
    in_place = likeness(refined(folder, tmp_path / "in-place", symmetry="D2"), truth)
    assert float(fsc_mean(alike[:13])) > in_place - 0.03


@pytest.mark.parametrize("why", ["mask", "search_passes"])
def test_a_map_that_must_stay_is_refused_where_its_axes_are_elsewhere(tetramer, elsewhere, tmp_path, why):
    folder, truth = tetramer
    write_map(folder / "sphere.mrc", centred_sphere(32), truth.pixel_size)
    given = {"mask": str(folder / "sphere.mrc")} if why == "mask" else {"search_passes": 0}
    with pytest.raises(ConfigError, match=f"must stay where it is because of .*{why}"):
        refined(folder, tmp_path / "run", symmetry="D2", reference=elsewhere, **given)


@pytest.mark.slow
def test_from_images_alone(tetramer, tmp_path):
    """A map of the group, found without it and refined with it, is nearer to the truth than one without."""
    folder, truth = tetramer
    exact, mask, found = truth.map(0).float(), truth.mask().float(), {}
    for group in ("D2", "C1"):
        method = configured(find_method("abinitio"), {"symmetry": group, "starts": 2})
        map_ = read_map(train(folder / "data" / "particles.star", method, tmp_path / group).volumes / "consensus.mrc")[
            0
        ]
        found[group] = float(fsc_mean(fsc(align_maps(map_, exact).aligned, exact, mask)[:13]))
    assert found["D2"] > max(0.85, found["C1"] + 0.05)


def test_a_group_that_is_none_is_refused(tetramer, tmp_path):
    folder, _ = tetramer
    with pytest.raises(ConfigError, match="symmetry 'D': expected C1"):
        refined(folder, tmp_path / "run", symmetry="D")


@pytest.mark.parametrize("finest", [None, 40.0, 60.0])
def test_a_reference_is_brought_to_the_scale_of_the_images(tetramer, finest):
    """However blurred it is, and whatever its units are."""
    folder, truth = tetramer
    context = build_context(ImageSource(read_particles(folder / "data" / "particles.star")), 0)
    exact = truth.map(0).float()
    context = dataclasses.replace(
        context, signal_amplitude=shell_mean(volume_to_grid(exact)[..., 0].abs() ** 2, 32) ** 0.5
    )
    steps = Steps(configured(find_method("refine"), {"start": 0.5}), context)
    blurred = exact if finest is None else low_pass(exact, truth.pixel_size, finest)
    scaled = steps._in_units_of_images(70 * blurred)
    assert float((scaled * blurred).sum() / blurred.square().sum()) == pytest.approx(1, abs=0.1)
