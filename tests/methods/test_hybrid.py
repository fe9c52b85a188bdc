"""The hybrid keeps pose and z of each particle, begins with what the encoder says, and makes them likelier."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from small import TINY_Z

from hypermol.errors import ConfigError
from hypermol.joint import AmortisedEncoder
from hypermol.methods import configured, find_method, infer, train
from hypermol.runs import Run

SMALL = {**TINY_Z, "pose.channels": 4, "pose.hidden": 16, "phases.0.images": 60, "phases.0.batch_size": 10}
SMALL |= {"phases.1.passes": 2, "phases.1.batch_size": 10, "phases.2.batch_size": 10, "phases.2.clusters": 2}


def test_each_phase_makes_poses_likelier(star: Path, tmp_path: Path) -> None:
    run = train(star, configured(find_method("hybrid"), SMALL), tmp_path / "run")
    passes = {row["phase"]: row for row in run.log() if row["event"] == "pass"}
    assert passes["local search"]["nll"] < passes["poses and z"]["nll"] - 1
    assert passes["estimate"]["nll"] < passes["local search"]["nll"]
    found = run.estimates()
    assert {"rotation", "shift", "z", "log_likelihood"} <= set(found)
    turned = torch.from_numpy(found["rotation"]).double()
    assert torch.linalg.det(turned).sub(1).abs().max() < 1e-2
    again = infer(run.path, star, tmp_path / "again", reference=0).estimates()
    assert again["rotation"].shape == found["rotation"].shape
    assert np.isfinite(again["log_likelihood"]).all()
    assert Run.open(tmp_path / "again").finished


def test_without_z(star: Path, tmp_path: Path) -> None:
    run = train(star, configured(find_method("hybrid"), {**SMALL, "z_dim": 0}), tmp_path / "run")
    assert "z" not in run.estimates()
    assert (run.volumes / "map.mrc").exists()


def test_a_search_needs_an_encoder() -> None:
    method = dataclasses.replace(find_method("hybrid"), pose=AmortisedEncoder(z_dim=8))
    with pytest.raises(ConfigError, match="polished-encoder"):
        method.check()
