"""The ruler itself: on a coarse grid it finds what scoring every rotation at every shift one by one finds."""

import torch
from known_molecule import simulated

from hypermol.benchmarks.exhaustive_search import CLIMBS, exhaustive_search
from hypermol.imaging import so3_grid


def test_it_finds_the_best_of_all(tmp_path):
    _, _, images, grid = simulated(tmp_path / "data", n=4, snr=0.3, shift_px=2.0)
    images = images.limit(8)
    found = exhaustive_search(images, grid, 2, 2, rescored=100)
    rotation = so3_grid(2).float()
    axis = torch.arange(-2, 3).float()
    best = torch.full((4,), -torch.inf, dtype=torch.float64)
    for x in axis:
        for y in axis:
            shift = torch.stack([x, y]).expand(4, len(rotation), 2)
            value, moved = images.log_likelihood(grid, rotation.expand(4, -1, 3, 3), shift, 0.5)
            kept = value.topk(20, dim=1).indices
            moved, turned = moved.gather(1, kept[..., None].expand(-1, -1, 2)), rotation[kept]
            for _ in range(CLIMBS - 1):
                _, moved = images.log_likelihood(grid, turned, moved, 0.5)
            best = torch.maximum(best, images.log_likelihood(grid, turned, moved)[0].amax(1))
    torch.testing.assert_close(found, best, rtol=0, atol=0.05)
