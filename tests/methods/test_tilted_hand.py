"""The hand of a map found from images alone: free without tilts, that of the tilts with them."""

import numpy as np
import pytest
import torch

from hypermol.engine import Draws, State
from hypermol.maps import align_maps, low_pass, other_hand, read_map, write_map
from hypermol.methods import Conduct, configured, find_method, train
from hypermol.methods.abinitio_steps import FOUND, Steps
from hypermol.methods.context import build_context
from hypermol.metrics import pose_scores
from hypermol.particles import ImageSource, read_particles
from hypermol.simulation import Recipe, Truth, simulate


def judged(folder, map_, tilts):
    """What the choice makes of one start's map."""
    data = folder / f"data{len(tilts)}"
    if not data.exists():
        simulate(Recipe.named("homogeneous", n=60, box=24, snr=2.0, shift_px=1.0, seed=4, tilts_deg=tilts), data)
    source = ImageSource(read_particles(data / "particles.star"))
    context = build_context(source, 0)
    steps = Steps(configured(find_method("abinitio"), {"starts": 1}), context)
    state = steps.initial()
    state = State({f"{FOUND}0": map_[None]}, {}, {**state.data, "band": 8})
    batch = next(iter(source.stream([torch.arange(60)])))
    totals = steps.judge(state, batch, Draws(0, (0,), 60, 0, 60, torch.device("cpu"))).totals
    return steps.chosen(state, totals)


@pytest.fixture(scope="module")
def truth(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hand")
    simulate(Recipe.named("homogeneous", n=2, box=24, seed=4), folder / "data")
    return folder, Truth.load(folder / "data").map(0).float()


def test_tilts_choose_the_hand(truth):
    folder, map_ = truth
    for given in (map_, other_hand(map_)):
        chosen, maps = judged(folder, given, (0.0, 45.0))
        torch.testing.assert_close(maps[0], map_)
        assert "hand is that of the tilts" in chosen.data["notes"][1]


def test_without_tilts_nothing_is_said_of_it(truth):
    folder, map_ = truth
    chosen, maps = judged(folder, other_hand(map_), (0.0,))
    torch.testing.assert_close(maps[0], other_hand(map_))
    assert len(chosen.data["notes"]) == 1


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_found_from_tilt_pairs(tmp_path, seed):
    simulate(
        Recipe.named("homogeneous", n=500, box=24, snr=1.0, shift_px=1.5, seed=seed, tilts_deg=(0.0, 45.0)),
        tmp_path / "data",
    )
    method = configured(find_method("abinitio"), {"starts": 2})
    run = train(tmp_path / "data" / "particles.star", method, tmp_path / "run", seed=seed, conduct=Conduct())
    found = align_maps(read_map(run.volumes / "consensus.mrc")[0], Truth.load(tmp_path / "data").map(0).float())
    assert not found.mirrored
    assert found.correlation > 0.8


def test_tilt_pairs_among_flat_particles(tmp_path):
    """Batches of flat particles alone come before those with tilt pairs."""
    recipe = Recipe.named("homogeneous", n=60, box=24, snr=2.0, shift_px=1.0, seed=4, tilts_deg=(0.0, 45.0))
    simulate(recipe, tmp_path / "data")
    truth = Truth.load(tmp_path / "data")
    lines = (tmp_path / "data" / "particles.star").read_text().splitlines()
    kept = [line for line in lines if "tilt1" not in line or int(line.rsplit("-", 1)[1]) >= 30]
    star = tmp_path / "data" / "mixed.star"
    star.write_text("\n".join(kept) + "\n")
    particles = read_particles(star)
    assert (particles.count, particles.images, particles.shift_dim) == (60, 90, 3)
    write_map(tmp_path / "rough.mrc", low_pass(truth.map(0).float(), 8.0, 32.0), truth.pixel_size)
    small = {"reference": str(tmp_path / "rough.mrc"), "search_passes": 1, "local_passes": 1, "batch_size": 20}
    run = train(star, configured(find_method("refine"), small), tmp_path / "run", seed=0)
    found = run.estimates()
    assert found["shift"].shape == (60, 3)
    errors = pose_scores(found["rotation"], truth.rotation).overall.rotation_deg
    assert np.median(errors[:30]) < 10
    assert np.median(errors[30:]) < 10
