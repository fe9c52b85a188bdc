"""Point groups: against scipy's, against RELION's own lists, and as parts of the sphere."""

import re
import shutil
import subprocess

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from hypermol.errors import ConfigError
from hypermol.imaging import asymmetric_cells, geodesic_angle_deg, so3_grid, symmetry_rotations

ORDERS = {"C1": 1, "C5": 5, "D2": 4, "D7": 14, "T": 12, "O": 24, "I": 60, "I1": 60, "I3": 60, "I4": 60}


def same_rotations(found: np.ndarray, expected: np.ndarray) -> bool:
    """Equal as sets."""
    distance = np.abs(found[:, None] - expected[None]).max((2, 3))
    return len(found) == len(expected) and bool((distance.min(1) < 1e-4).all() and (distance.min(0) < 1e-4).all())


@pytest.mark.parametrize(("name", "order"), ORDERS.items())
def test_is_a_group_of_the_right_order(name, order):
    group = symmetry_rotations(name)
    assert len(group) == order
    torch.testing.assert_close(group[0], torch.eye(3, dtype=torch.float64))
    assert same_rotations((group[:, None] @ group[None]).flatten(0, 1)[: order * 3].numpy()[:order], group.numpy())
    products = (group[:, None] @ group[None]).flatten(0, 1).numpy()
    assert np.abs(products[:, None] - group.numpy()[None]).max((2, 3)).min(1).max() < 1e-9


@pytest.mark.parametrize("name", ["C4", "C7", "D2", "D3", "O"])
def test_equals_scipy(name):
    """Where both put the axes in the same places."""
    assert same_rotations(symmetry_rotations(name).numpy(), Rotation.create_group(name, axis="Z").as_matrix())


@pytest.mark.parametrize("name", ["C3", "D2", "D5", "T", "O", "I", "I1", "I2", "I3", "I4"])
def test_equals_relion(name):
    if shutil.which("relion_refine") is None:
        pytest.skip("RELION is not installed")
    told = subprocess.run(["relion_refine", "--sym", name, "--print_symmetry_ops"], capture_output=True, text=True)
    lines = (told.stdout + told.stderr).splitlines()
    rows = [line.split() for line in lines if re.fullmatch(r"\s*(\S+\s+){2}\S+\s*", line) and line[:1] == " "]
    expected = np.array([[float(word) for word in row] for row in rows]).reshape(-1, 3, 3)
    assert same_rotations(symmetry_rotations(name).numpy(), expected)


@pytest.mark.parametrize("name", ["C1", "C3", "D2", "O", "I"])
def test_every_rotation_has_an_equivalent_in_an_asymmetric_cell(name):
    """Descending from the cells kept, as a search does, misses nothing: some equivalent lies as near to a cell kept as
    rotations lie to cells in general."""
    order, group, grid = 3, symmetry_rotations(name), so3_grid(3)
    cells = asymmetric_cells(name, order)
    assert len(cells) < len(grid) * (1 / len(group) + 0.1)
    drawn = torch.from_numpy(Rotation.random(40, random_state=1).as_matrix())
    apart = geodesic_angle_deg((drawn[:, None] @ group)[:, :, None], grid[cells]).amin((1, 2))
    worst = geodesic_angle_deg(drawn[:, None], grid).amin(1)
    assert float(apart.max()) <= float(worst.max())


def test_unknown_names_are_refused():
    for name in ("", "C0", "X4", "D", "IH"):
        with pytest.raises(ConfigError, match="expected C1"):
            symmetry_rotations(name)
