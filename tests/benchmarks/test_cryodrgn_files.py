"""cryoDRGN's files, as all races read them; the accuracy of the race with known poses by a plain loop."""

import numpy as np
import pytest
import torch

from hypermol.benchmarks.cryodrgn_files import epoch_seconds, maps_at, newest
from hypermol.benchmarks.known_poses.__main__ import _accuracy
from hypermol.errors import DataError
from hypermol.maps import write_map
from hypermol.metrics import fsc, fsc_mean
from hypermol.simulation import Recipe, Truth, simulate

LOG = """(INFO) # =====> Epoch: 1 Average gen loss = 0.96, KLD = 3.1, total loss = 0.96; Finished in 0:04:31.2
(INFO) # [Train Epoch: 2/20] [100/1000 images]
(INFO) # =====> Epoch: 2 Average gen loss = 0.9, KLD = 3.0, total loss = 0.9; Finished in 1:00:00.500000
"""


def test_the_newest_is_that_of_the_last_epoch(tmp_path):
    for name in ("weights.2.pkl", "weights.10.pkl", "weights.9.pkl", "weights.pkl"):
        (tmp_path / name).touch()
    assert newest(tmp_path, "weights.*.pkl").name == "weights.10.pkl"
    with pytest.raises(DataError, match="found none"):
        newest(tmp_path, "z.*.pkl")


def test_seconds_of_each_epoch():
    assert epoch_seconds(LOG) == pytest.approx([271.2, 3600.5])
    assert epoch_seconds("") == []
    searched = "(INFO) # =====> Pretrain Epoch: 0 finished in 0:00:19.953205; total loss = 0.7\n"
    assert epoch_seconds(searched + "# =====> HPS Epoch: 1 finished in 1:09:00.5; total") == pytest.approx(
        [19.953205, 4140.5]
    )


def test_maps_at_rows_of_z(tmp_path, monkeypatch):
    """eval_vol is told where everything is, and its maps come back in the order of the rows."""
    (tmp_path / "weights.3.pkl").touch()
    asked = []

    def measured(command, log):
        asked.append((command, log))
        (tmp_path / "maps").mkdir()
        for row in range(2):
            write_map(tmp_path / "maps" / f"vol_{row:03d}.mrc", torch.full((4, 4, 4), float(row)), 2.0)

    monkeypatch.setattr("hypermol.benchmarks.cryodrgn_files.measured", measured)
    z = np.array([[0.1, 2.0], [3.0, -4.5]])
    maps = list(maps_at(tmp_path / "cryodrgn", tmp_path, z, tmp_path / "z.txt"))
    assert [float(volume[0, 0, 0]) for volume in maps] == [0, 1]
    np.testing.assert_array_equal(np.loadtxt(tmp_path / "z.txt"), z)
    command, log = asked[0]
    assert command[1:3] == ["eval_vol", tmp_path / "weights.3.pkl"]
    assert log == tmp_path / "eval.log"


def test_accuracy_by_a_plain_loop(tmp_path):
    simulate(Recipe.named("hinge", n=40, box=16, snr=1.0), tmp_path / "data")
    truth = Truth.load(tmp_path / "data")
    found = _accuracy(truth, 11, lambda chosen: (truth.map(int(i) - 1 if i else 0) for i in chosen))
    chosen = np.sort(np.random.default_rng(0).choice(40, 11, replace=False))
    mask, mean = truth.mask().float(), truth.mean_map().float()
    exact = [truth.map(int(i)).float() for i in chosen]
    own = [truth.map(int(i) - 1 if i else 0).float() for i in chosen]
    rows = np.array([float(fsc_mean(fsc(a, b, mask))) for a, b in zip(own, exact)])
    assert found["per_image_fsc"] == pytest.approx(rows.mean(), abs=1e-6)
    assert found["per_image_fsc_std"] == pytest.approx(rows.std(), abs=1e-6)
    of_mean = [float(fsc_mean(fsc(mean, b, mask))) for b in exact]
    assert found["per_image_fsc_of_noise_free_mean"] == pytest.approx(np.mean(of_mean), abs=1e-6)
