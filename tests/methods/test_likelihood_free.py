"""Methods that match distributions of images: they recover a map, a family, and say when a game is lost."""

from functools import partial

import numpy as np
import pytest
import torch
from small import hinge

from hypermol.engine import Loop, MemoryStore, Processes, State
from hypermol.engine.gradient import install
from hypermol.errors import ConfigError, ConvergenceError
from hypermol.imaging import rotvec_to_matrix
from hypermol.maps import align_maps, read_map, transform_map
from hypermol.methods import Conduct, configured, find_method, rebuild, train
from hypermol.methods.assignment import moments
from hypermol.methods.game import GAME
from hypermol.methods.game_watch import Watch, after_turn, fresh, noted
from hypermol.methods.job import make_ready
from hypermol.metrics import fsc
from hypermol.particles import Preparation, read_particles
from hypermol.simulation import Recipe, Truth, simulate
from hypermol.volumes.voxel_modes import ModeVolume

SMALL = {"critic.channels": 4, "critic.most": 8, "critic.hidden": 8, "batch_size": 8}


@pytest.fixture(scope="module")
def rigid(tmp_path_factory):
    """16 px, no shifts, quiet."""
    folder = tmp_path_factory.mktemp("rigid") / "data"
    simulate(Recipe.named("homogeneous", n=2000, box=16, snr=4.0, shift_px=0.0, seed=31), folder)
    return Truth.load(folder)


def game_of(truth, name, settings, seed=0):
    """The last state of a run that keeps nothing, and its job."""
    method = configured(find_method(name), settings)
    job = make_ready(
        read_particles(truth.folder / "particles.star"), method, Preparation(), seed, Conduct(), Processes()
    )
    store = MemoryStore()
    return Loop(job.program, job.source, store, seed=seed, microbatch=method.microbatch).run(), job, store


@pytest.mark.slow
def test_a_map_is_found_without_a_pose(rigid):
    """Against the true map after alignment; a ball, which the map begins as, stays far below."""
    settings = {
        "turns": 150,
        "critic.channels": 8,
        "critic.most": 16,
        "band_end": 0.6,
        "critic_update.learning_rate": 2e-3,
    }
    state, job, _ = game_of(rigid, "cryogan", settings)
    found, true = job.method.decoder(state, job.context)(None)[0], rigid.map(0).float()
    curve = fsc(align_maps(found, true, band_limit=4).aligned, true)
    assert float(curve[1:4].mean()) > 0.6
    ball = job.method.decoder(job.program.initialise(), job.context)(None)[0]
    assert float(fsc(align_maps(ball, true, band_limit=4).aligned, true)[1:4].mean()) < 0.4


def test_the_result_is_the_running_mean_of_the_maker(rigid):
    """Exact for two turns: memory (1 + t)/(10 + t) at turn t."""
    one, two = (game_of(rigid, "cryogan", {**SMALL, "turns": turns, "cooling": 0.0})[0] for turns in (1, 2))
    name = "volume.voxels"
    mean, after = one.tensors[f"mean.{name}"], two.tensors[f"model.{name}"]
    torch.testing.assert_close(two.tensors[f"mean.{name}"], mean + (after - mean) * (1 - 2 / 11))


def test_resolution_marches_and_critics_change(rigid):
    settings = {**SMALL, "turns": 12, "band_start": 0.3, "band_end": 1.0, "march_end": 0.5}
    method = configured(find_method("cryogan"), settings)
    bands = method.bands(16)
    seen = [bands(turn / 12) for turn in range(13)]
    assert seen[0] == (2, 0)
    assert seen[-1] == (7, 1)
    assert [band for band, _ in seen] == sorted(band for band, _ in seen)
    state, job, _ = game_of(rigid, "cryogan", settings)
    assert state.data[GAME]["turn"] == 12
    assert state.data[GAME]["judged"] < 12  # figures began again with the second critic
    boxes = [method.players(job.context, "critic", stage, 0).box for stage in (0, 1)]
    assert boxes == [12, 16]
    sizes = [method.players(job.context, "critic", stage, 0).critic.state_dict() for stage in (0, 1)]
    found = {name.removeprefix("model.critic.") for name in state.tensors if name.startswith("model.critic.")}
    assert found == set(sizes[1])


@pytest.mark.parametrize(
    ("volume", "shared", "own"),
    [("voxel-modes", "map", ("modes", "first.weight")), ("map-generator", "voxels", ("last.weight", "last.bias"))],
)
def test_at_first_only_what_all_conformations_share_moves(rigid, volume, shared, own):
    sizes = {"volume.hidden": 4} if volume == "voxel-modes" else {"volume.channels": 1}
    settings = {**SMALL, "turns": 4, "still": 0.5, "volume": volume, **sizes}
    state, job, _ = game_of(rigid, "multi-cryogan", settings)
    begun = job.program.initialise().tensors
    assert float(state.tensors[f"adam.steps.volume.{shared}"]) == 4
    for name in own:
        assert float(state.tensors[f"adam.steps.volume.{name}"]) == 2
        assert not torch.equal(state.tensors[f"model.volume.{name}"], begun[f"model.volume.{name}"])


def test_a_price_on_frames_keeps_conformations_from_turning(rigid):
    """With a price beyond all else the maps lie on their mean as a small turn could lay them, though they differ."""
    settings = {**SMALL, "turns": 40, "volume": "voxel-modes", "volume.hidden": 4, "update.learning_rate": 0.05}
    z = (torch.arange(16)[:, None] + 0.5) / 16
    frames, motion = [], []
    for price in (0.0, 1e4):
        state, job, _ = game_of(rigid, "multi-cryogan", {**settings, "frame_price": price})
        volume = job.method.volume.build(job.context)
        install(volume, State({"model." + k.removeprefix("model.volume."): v for k, v in state.tensors.items()}))
        with torch.no_grad():
            frames.append(float(volume.frame(z)))
            found = volume.densities(z)
        motion.append(float((found - found.mean(0)).norm() / found.norm()))
    assert frames[1] < 0.2 * frames[0]
    assert motion[1] > 0.3 * motion[0]


def test_a_price_on_frames_needs_a_family_of_densities(rigid):
    with pytest.raises(ConfigError, match="needs conformations"):
        configured(find_method("cryogan"), {"frame_price": 1.0})


def lost(**figures):
    game = {**fresh(0), "judged": 150, "least_apart": 0.2, "apart": 0.3, "slope": 1.2}
    return Watch().fault({**game, **figures})


def test_what_makes_a_game_lost():
    assert lost() is None
    assert "slope is 7" in lost(slope=7.0)
    assert "sliced Wasserstein" in lost(apart=0.5)
    assert lost(apart=0.5, judged=50) is None  # too early to say


def test_running_figures():
    game = after_turn(noted(fresh(0), apart=1.0, slope=2.0))
    assert (game["apart"], game["slope"], game["turn"]) == (1.0, 2.0, 1)
    assert noted(game, apart=2.0)["apart"] == pytest.approx(1.02)


def test_a_lost_game_begins_again_and_then_stops(rigid):
    """Steps far too long: made images go farther from the data than they began."""
    bad = {**SMALL, "turns": 150, "stages": 1, "update.learning_rate": 20.0, "critic_update.learning_rate": 1e-5}
    with pytest.raises(ConvergenceError, match=r"lost at turn 101 of 150, attempt 1: .*sliced Wasserstein"):
        game_of(rigid, "cryogan", {**bad, "restarts": 0})


def test_a_new_beginning_is_another_one(rigid, monkeypatch):
    """Attempt 0 is called lost at its third turn; attempt 1 has all its turns, and starts from other voxels."""
    monkeypatch.setattr(
        Watch, "fault", lambda self, game: "so it is" if (game["attempt"], game["turn"]) == (0, 3) else None
    )
    state, job, _ = game_of(rigid, "cryogan", {**SMALL, "turns": 6, "restarts": 1})
    assert (state.data[GAME]["attempt"], state.data[GAME]["turn"]) == (1, 6)
    assert state.data["notes"] == ["attempt 1 was given up at turn 3: so it is"]
    begun = [job.method.game(job.context).begun(attempt)["model.volume.voxels"] for attempt in (0, 1)]
    assert not torch.equal(*begun)


def test_assignment_finds_poses_and_z_of_a_known_family(tmp_path, monkeypatch):
    """With the true maps in place of the game's: two states, told apart at their poses."""
    truth = hinge(tmp_path / "data", n=40, box=16, snr=20.0, seed=5, levels=2)
    ends = torch.stack([truth.map_of_state(0), truth.map_of_state(1)]).float()
    chosen = {
        **SMALL,
        "turns": 1,
        "volume.channels": 1,
        "assign": True,
        "assignment.conformations": 2,
        "pose.shift_px": 1.0,
    }
    chosen |= {"band_end": 0.8, "assignment.search.last_order": 3}
    method = configured(find_method("multi-cryogan"), chosen)

    def known(self, state, context):
        return lambda z: ends if z is None else ends[0] + z[:, :, None, None] * (ends[1] - ends[0])

    monkeypatch.setattr(type(method), "decoder", known)
    run = train(truth.folder / "particles.star", method, tmp_path / "run", seed=0)
    found = run.estimates()
    right = (found["z"][:, 0] > 0.5) == (truth.state == 1)
    assert max(right.mean(), 1 - right.mean()) > 0.95
    seen, true = found["rotation"][:, 2], truth.rotation[:, 2]
    angle = np.degrees(np.arccos(np.clip(np.einsum("ni,ni->n", seen, true), -1, 1)))
    assert np.median(angle) < 12
    assert (run.path / "particles.star").exists()
    assert (run.volumes / "consensus.mrc").exists()


def test_moments_of_a_posterior():
    share = torch.tensor([[0.25, 0.75], [1.0, 0.0]], dtype=torch.float64)
    found = moments(share, torch.tensor([[0.0], [1.0]], dtype=torch.float64))
    torch.testing.assert_close(found["z"], torch.tensor([[0.75], [0.0]]))
    torch.testing.assert_close(found["z_covariance"][:, 0, 0], torch.tensor([0.1875, 0.0]))


def test_a_run_has_its_family_and_how_alike_it_is(rigid, tmp_path):
    chosen = configured(find_method("multi-cryogan"), {**SMALL, "turns": 2, "volume.channels": 1})
    run = train(rigid.folder / "particles.star", chosen, tmp_path / "run", seed=0)
    assert len(list(run.volumes.glob("conformation-*.mrc"))) == 20
    matrix = run.matrices()["fsccc"]
    assert matrix.shape == (20, 20)
    np.testing.assert_allclose(np.diag(matrix), 1.0)
    assert run.metrics()["least FSCCC"]["value"] > 0.99
    assert 0 <= run.metrics()["turn of finished maps"]["value"] < 180
    assert "maps in transition" not in run.metrics()  # after two turns z moves nothing, and nothing is said of shares
    last = read_map(run.volumes / "conformation-19.mrc")[0]
    torch.testing.assert_close(rebuild(run, "cpu").decode(torch.ones(1, 1))[0], last)
    assert not (run.path / "estimates.npz").exists()


def test_a_family_of_modes_is_rebuilt_as_it_was_written(rigid, tmp_path):
    settings = {**SMALL, "turns": 2, "volume": "voxel-modes"}
    run = train(rigid.folder / "particles.star", configured(find_method("multi-cryogan"), settings), tmp_path / "run")
    last = read_map(run.volumes / "conformation-19.mrc")[0]
    torch.testing.assert_close(rebuild(run, "cpu").decode(torch.ones(1, 1))[0], last)


def test_finished_maps_lie_still(rigid):
    """A family that only turns comes out as one map; with the file's rotations, or told not to, as it came."""
    settings = {**SMALL, "turns": 1, "volume": "voxel-modes", "volume.hidden": 4}
    state, job, _ = game_of(rigid, "multi-cryogan", settings)
    body, context = rigid.map(0).float(), job.context
    turning = partial(turning_maps, body)

    def spread(**changed):
        method = configured(find_method("multi-cryogan"), {**settings, **changed})
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ModeVolume, "maps", lambda self, z: turning(z))
            maps = method.decoder(state, context)(torch.linspace(0, 1, 3)[:, None])
        return float((maps - maps.mean(0)).norm() / maps.norm())

    loose = spread(lay_still=False)
    assert spread() < 0.25 * loose
    assert spread(**{"pose.rotations": "given"}) == loose


def turning_maps(body, z):
    """``body`` turned about x by up to 0.2 radians."""
    turns = [rotvec_to_matrix(0.2 * float(value) * torch.tensor([1.0, 0.0, 0.0]).double()) for value in z[:, 0]]
    return torch.stack([transform_map(body, turn, torch.zeros(3)) for turn in turns])


def test_a_window_is_refused(rigid, tmp_path):
    star, windowed = rigid.folder / "particles.star", Preparation(window=0.85)
    with pytest.raises(ConfigError, match="would tell the two apart"):
        train(star, find_method("cryogan"), tmp_path / "run", preparation=windowed)


def test_parts_that_do_not_fit_are_refused():
    with pytest.raises(ConfigError, match="z_dim"):
        configured(find_method("multi-cryogan"), {"volume.z_dim": 2})
    with pytest.raises(ConfigError, match="band_end"):
        configured(find_method("cryogan"), {"band_end": 0.1})
    assert configured(find_method("multi-cryogan"), {"z_dim": 2}).volume.z_dim == 2
