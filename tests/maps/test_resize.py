"""Maps brought to other pixels and boxes: the same object at the same place, in Å."""

import pytest
import torch

from hypermol.errors import DataError
from hypermol.maps import resized


def blob(box: int, pixel_size: float) -> torch.Tensor:
    """A Gaussian of 9 Å, off the centre by (4, -6, 9) Å (z, y, x); density per Å³."""
    axis = (torch.arange(box, dtype=torch.float64) - box // 2) * pixel_size
    z, y, x = torch.meshgrid(axis, axis, axis, indexing="ij")
    return torch.exp(-((z - 4) ** 2 + (y + 6) ** 2 + (x - 9) ** 2) / (2 * 81.0))


@pytest.mark.parametrize(("old", "new"), [((48, 2.0), (32, 3.0)), ((24, 4.0), (40, 2.0)), ((40, 3.0), (24, 3.0))])
def test_the_object_stays(old, new):
    found = resized(blob(*old), *old[1:], *new)
    expected = blob(*new) * (new[1] / old[1]) ** 3  # densities are per voxel
    assert found.shape == (new[0],) * 3
    torch.testing.assert_close(found, expected, atol=1e-3 * float(expected.max()), rtol=0)


def test_what_cannot_be_brought_to_size_is_refused():
    with pytest.raises(DataError, match="pad it"):
        resized(torch.zeros(8, 8, 8), 3.0, 32, 4.4)
    with pytest.raises(DataError, match="positive size"):
        resized(torch.zeros(8, 8, 8), 0.0, 32, 3.0)
