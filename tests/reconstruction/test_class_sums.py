"""Maps of classes from their sums: against a dense solve and the Wiener filter; and the power of their differences."""

import pytest
import torch

from hypermol.imaging import random_rotations
from hypermol.kernels import grid_shape, grid_to_volumes, insert_separate, symmetrise_separate
from hypermol.maps import filtered
from hypermol.metrics import fsc
from hypermol.reconstruction import ClassSums, Profile, difference_power, profile_volume

BOX, CLASSES, OVERSAMPLING = 8, 3, 2


def some_sums(classes: int = CLASSES) -> ClassSums:
    from hypermol.imaging import Lattice

    generator, k = torch.Generator().manual_seed(0), Lattice.disc(BOX, dtype=torch.float64).k
    numerator = torch.complex(*torch.randn(2, 40, len(k), generator=generator, dtype=torch.float64))
    weight = torch.rand(40, len(k), generator=generator, dtype=torch.float64)
    first, second = torch.rand(2, 40, classes, generator=generator, dtype=torch.float64)
    out = torch.zeros(1, *grid_shape(BOX), 3 * classes, dtype=torch.float64)
    images = numerator, weight, random_rotations(40, generator=generator).double(), first, second
    insert_separate(*images, torch.zeros(40, dtype=torch.int64), k, BOX, out)
    return ClassSums.completed(out, BOX)[0]


def powers() -> tuple[torch.Tensor, torch.Tensor]:
    shells = torch.arange(BOX // 2, dtype=torch.float64)
    return 3 * torch.exp(-shells), 0.5 * torch.exp(-shells / 2)


def test_maps_are_the_posterior_mean_of_a_dense_solve() -> None:
    """Unknowns μ, D_1 … D_K at each node, all at once."""
    sums, (common, difference) = some_sums(), powers()
    prior = [Profile.of(1 / (8 * p), BOX, OVERSAMPLING)[slice(0, 2 * BOX)] for p in (common, difference)]
    records = sums.records
    numbers, weights = torch.view_as_complex(records[..., :2].contiguous()), records[..., 2]
    matrix = torch.zeros(*weights.shape[:3], CLASSES + 1, CLASSES + 1, dtype=torch.float64)
    matrix[..., 0, 0] = weights.sum(-1) + prior[0]
    for c in range(CLASSES):
        matrix[..., 0, c + 1] = matrix[..., c + 1, 0] = weights[..., c]
        matrix[..., c + 1, c + 1] = weights[..., c] + prior[1]
    right = torch.cat([numbers.sum(-1, keepdim=True), numbers], -1)
    inside = (prior[0] > 0) & (weights.sum(-1) > 0)
    matrix[~inside] = torch.eye(CLASSES + 1, dtype=torch.float64)
    dense = torch.linalg.solve(matrix.to(right.dtype), right[..., None])[..., 0] * inside[..., None]
    expected = grid_to_volumes(dense, BOX)
    mean, steps = sums.solve(common, difference)
    found = torch.cat([mean[None], steps]).double()
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5 * float(expected.abs().max()))


def test_one_class_is_the_wiener_filter() -> None:
    sums, (common, difference) = some_sums(1), powers()
    mean, steps = sums.solve(common, difference)
    numbers, weights = torch.view_as_complex(sums.records[..., :2].contiguous()), sums.records[..., 2]
    q = Profile.of(1 / (8 * common), BOX, OVERSAMPLING)[slice(0, 2 * BOX)][..., None]
    expected = grid_to_volumes(torch.where(q > 0, numbers / (weights + q).clamp(min=1e-30), 0), BOX)[0]
    torch.testing.assert_close(mean.double(), expected, rtol=1e-4, atol=1e-5 * float(expected.abs().max()))
    assert float(steps.abs().max()) == 0


def test_a_class_without_images_is_the_common_map() -> None:
    sums, (common, difference) = some_sums(), powers()
    sums.records[..., 2, :] = 0
    _, steps = sums.solve(common, difference)
    assert float(steps[2].abs().max()) == 0
    assert float(steps[0].abs().max()) > 0


def test_parts_and_halves_of_sums() -> None:
    sums = some_sums()
    assert torch.equal(sums.of(1, 3).records, sums.records[..., 1:3, :])
    torch.testing.assert_close(sums.plus(sums).noise(), sums.noise() / 2)
    torch.testing.assert_close(sums.of(1, 3).noise(), sums.noise()[1:3])


@pytest.mark.parametrize("shares", [(1.0, 1.0, 1.0), (0.8, 0.1, 0.1)])
def test_power_of_differences_is_found_from_the_halves(shares: tuple[float, ...]) -> None:
    """Class maps drawn with known powers, seen twice with noise as strong as each class's images are few."""
    box, generator = 32, torch.Generator().manual_seed(1)
    shells = torch.arange(box // 2, dtype=torch.float64)
    truth, level = 4 * torch.exp(-shells / 6), torch.full_like(shells, 1.0)
    noise = torch.stack([level / share for share in shares])

    def drawn(power: torch.Tensor) -> torch.Tensor:
        white = torch.randn(box, box, box, generator=generator, dtype=torch.float64) / box**1.5
        return filtered(white, profile_volume(power.sqrt(), box))

    states = [drawn(truth) for _ in shares]
    halves = []
    for _ in range(2):
        maps = torch.stack([state + drawn(n) for state, n in zip(states, noise, strict=True)])
        weight = 1 / (truth + noise)
        weight = weight / weight.sum(0)
        mean = sum(filtered(m, profile_volume(w, box)) for m, w in zip(maps, weight, strict=True))
        halves.append(maps - mean)
    found = difference_power(fsc(*halves), noise, truth)
    ratio = (found / truth)[3:14]
    assert abs(float(ratio.mean()) - 1) < 0.2
    assert float(ratio.std()) < 0.35


def test_symmetrising_twice_would_show() -> None:
    out = torch.rand(*grid_shape(BOX), 3, dtype=torch.float64)
    once = out.clone()
    symmetrise_separate(once)
    torch.testing.assert_close(once[:, :, 1:], out[:, :, 1:])
    assert not torch.equal(once[:, :, 0], out[:, :, 0])
