"""What a refinement says against itself: only where there is something to say."""

import math

import numpy as np
import pytest
import torch

from hypermol.imaging import random_rotations, rotvec_to_matrix, symmetry_rotations
from hypermol.maps import transform_map
from hypermol.methods.pose_findings import (
    collapsed_poses,
    crowded_views,
    findings,
    own_mirror_image,
    own_turned_image,
    pose_in_z,
)

HALVES = torch.tensor([1.0] * 9 + [0.3] * 7)  # half maps that agree up to shell 8


@pytest.fixture(scope="module")
def molecule():
    """A chiral map of no symmetry, 32 px."""
    generator = torch.Generator().manual_seed(3)
    places = torch.randn(40, 3, generator=generator) * torch.tensor([2.0, 3.5, 5.0])
    axis = torch.arange(32) - 16.0
    z, y, x = torch.meshgrid(axis, axis, axis, indexing="ij")
    return sum(torch.exp(-((x - a) ** 2 + (y - b) ** 2 + (z - c) ** 2) / 4) for a, b, c in places)


def test_even_views_of_a_chiral_molecule_need_no_word(molecule):
    rotation = random_rotations(2000, torch.Generator().manual_seed(0))
    assert findings(molecule, HALVES, rotation) == ()


def test_views_along_one_axis_are_told():
    """Tilts of at most 25° from the x axis, from both sides."""
    generator = torch.Generator().manual_seed(1)
    base = rotvec_to_matrix(torch.tensor([0.0, math.pi / 2, 0.0]))
    axis = torch.nn.functional.normalize(torch.randn(500, 3, generator=generator), dim=1)
    tilted = rotvec_to_matrix(axis * math.radians(25) * torch.rand(500, 1, generator=generator)) @ base
    flipped = torch.where(
        torch.arange(500)[:, None, None] % 2 == 0, tilted, rotvec_to_matrix(torch.tensor([math.pi, 0.0, 0.0])) @ tilted
    )
    words = crowded_views(flipped)
    assert words is not None
    assert words.startswith("100 % of the particles are seen from within 30°")
    assert "13 % would be" in words
    assert crowded_views(random_rotations(500, generator)) is None


def test_a_map_that_is_its_own_mirror_image_is_told(molecule):
    both = molecule + molecule.flip(1).roll(1, 1)
    words = own_mirror_image(both, 9.0)
    assert words is not None
    assert "its hand cannot be told" in words
    assert own_mirror_image(molecule, 9.0) is None


def test_a_turn_that_leaves_the_map_as_it_is_is_told(molecule):
    half_turn = rotvec_to_matrix(torch.tensor([0.0, math.pi, 0.0]))
    shifted = transform_map(molecule, torch.eye(3), torch.tensor([5.0, 0.0, 2.0]))
    pair = shifted + transform_map(shifted, half_turn, torch.zeros(3))
    words = own_turned_image(pair, 9.0)
    assert words is not None
    assert "a turn by 180° about" in words
    assert own_turned_image(molecule, 9.0) is None
    assert not any(
        "turn by" in said for said in findings(pair, HALVES, random_rotations(200), symmetry_rotations("C2"))
    )


@pytest.mark.parametrize("name", ["D7", "T", "O", "I"])
def test_one_asymmetric_unit_is_not_taken_for_crowded_views(name):
    """Even views, each given by the equal one that is nearest to an axis."""
    group = symmetry_rotations(name).float()
    equal = random_rotations(2000, torch.Generator().manual_seed(5))[:, None] @ group
    nearest = (equal[:, :, 2] @ torch.tensor([0.2, 0.3, 0.933])).argmax(1)
    rotation = equal[torch.arange(2000), nearest]
    assert crowded_views(rotation, group) is None
    assert crowded_views(rotation) is not None


def test_coarse_maps_are_not_said_to_be_mirror_images(molecule):
    coarse = torch.tensor([1.0] * 5 + [0.3] * 11)
    assert findings(molecule, coarse, random_rotations(500)) == ()


def test_poses_that_have_collapsed_are_told():
    """A third and more with one pose, or in-plane angles that keep to one direction; even ones, and the views from
    along one axis that a specimen may have, are not."""
    generator = torch.Generator().manual_seed(2)
    even = random_rotations(1000, generator)
    assert collapsed_poses(even) is None
    one = even.clone()
    one[:400] = even[0]
    words = collapsed_poses(one)
    assert words is not None
    assert "40 % of the particles have the same one" in words
    assert "--set seed=1" in words
    turned = torch.atan2(even[:, 1, 2], -even[:, 0, 2])
    upright = torch.stack([turned * 0, turned * 0, turned], 1)
    for sign in (1, -1):  # of the turn that takes each in-plane angle to zero
        held = rotvec_to_matrix(sign * upright) @ even
        if torch.atan2(held[:, 1, 2], -held[:, 0, 2]).std() < 0.1:
            break
    words = collapsed_poses(held)
    assert words is not None
    assert "in the plane of the image" in words
    angle = 2 * math.pi * torch.rand(1000, generator=generator)
    top = rotvec_to_matrix(torch.stack([angle * 0, angle * 0, angle], 1))
    assert collapsed_poses(top) is None
    assert findings(torch.zeros(8, 8, 8), torch.zeros(4), one)[0].startswith("warning: poses have collapsed")


def test_a_z_that_carries_the_pose_is_told():
    random = np.random.default_rng(0)
    rotation = random_rotations(800, torch.Generator().manual_seed(4)).numpy()
    said, figure = pose_in_z(random.normal(size=(800, 3)), rotation)
    assert said is None
    assert abs(figure["pose_z_information"]["value"]) < 0.2
    z = np.concatenate([2 * rotation[:, 2], random.normal(size=(800, 1))], 1) + 0.2 * random.normal(size=(800, 4))
    said, figure = pose_in_z(z, rotation)
    assert said is not None
    assert "z carries the pose" in said
    assert "independence" in said
    assert figure["pose_z_information"]["value"] > 0.5
    classes = np.eye(3)[np.digitize(rotation[:, 2, 2], (-0.3, 0.3))]
    said, _ = pose_in_z(classes, rotation, classes=True)
    assert said is not None
    assert "classes and poses go together" in said
    assert "z_dim" not in said  # what a classification does not have
    assert pose_in_z(z[:100], rotation[:100]) == (None, {})
    assert pose_in_z(np.zeros((800, 1)), rotation) == (None, {})
