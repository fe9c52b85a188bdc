"""The hand of a map found from images alone: free without tilts, that of the tilts with them."""

import pytest
import torch

from hypermol.engine import Draws, State
from hypermol.maps import align_maps, other_hand, read_map
from hypermol.methods import Conduct, configured, find_method, train
from hypermol.methods.abinitio_steps import FOUND, Steps
from hypermol.methods.context import build_context
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
