"""The last digit: poses near the truth climb to it, and never down."""

import torch
from known_molecule import simulated

from hypermol.imaging import geodesic_angle_deg, rotvec_to_matrix
from hypermol.poses import refine_poses


def test_poses_off_by_a_grid_step_climb_to_within_the_noise(tmp_path):
    truth, batch, images, grid = simulated(tmp_path / "data", n=60, snr=1.0, shift_px=2.0)
    draw = torch.Generator().manual_seed(0)
    true = torch.from_numpy(truth.rotation).float()
    off = rotvec_to_matrix(torch.nn.functional.normalize(torch.randn(60, 3, generator=draw), dim=1) * 0.06) @ true
    shift = batch.shift / batch.pixel_size + torch.randn(60, 2, generator=draw) * 0.4
    before = images.log_likelihood(grid, off[:, None], shift[:, None])[0][:, 0]
    rotation, moved, value = refine_poses(images, grid, off, shift, 3.0)
    found = images.log_likelihood(grid, rotation[:, None], moved[:, None])[0][:, 0]
    torch.testing.assert_close(found, value, rtol=0, atol=0.5)  # that of a parabola, that of the images
    assert (found >= before - 0.5).all()
    at_truth = images.log_likelihood(grid, true[:, None], (batch.shift / batch.pixel_size)[:, None])[0][:, 0]
    assert float((found > at_truth - 0.5).double().mean()) > 0.95
    assert float(geodesic_angle_deg(rotation, true).median()) < 0.45 * 0.06 * 57.3


def test_the_top_of_a_parabola_is_found_at_once():
    from hypermol.poses.local_search import _star, _top

    draw = torch.Generator().manual_seed(1)
    root = torch.randn(5, 3, 3, generator=draw, dtype=torch.float64)
    bend, top = root @ root.mT + torch.eye(3), 0.1 * torch.randn(5, 3, generator=draw, dtype=torch.float64)
    away = _star().double() * 0.1 - top[:, None]
    values = 7 - 0.5 * torch.einsum("bsi,bij,bsj->bs", away, bend, away)
    torch.testing.assert_close(_top(values, 0.1), top * (0.2 / top.norm(dim=1, keepdim=True)).clamp(max=1))
