"""Particles of which no pose is known, their files having no columns for any: what finds poses runs on them."""

from pathlib import Path

import numpy as np
import pytest
import starfile
from test_interrupted import JOBS, STARTS

from hypermol.errors import ConfigError
from hypermol.methods import METHODS, configured, find_method, train

SETTINGS = {**JOBS, "hyper-molecule": {**JOBS["hyper-molecule"], **{f"search.{k}": v for k, v in STARTS.items()}}}


@pytest.fixture(scope="module")
def posesless(star: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    blocks = starfile.read(star, always_dict=True)
    rows = blocks["particles"]
    blocks["particles"] = rows.drop(columns=[c for c in rows if c.startswith(("rlnAngle", "rlnOrigin"))])
    folder = tmp_path_factory.mktemp("posesless")
    for stack in star.parent.glob("*.mrcs"):
        (folder / stack.name).symlink_to(stack.resolve())
    starfile.write(blocks, folder / "particles.star")
    return folder / "particles.star"


FINDERS = sorted(name for name, method in METHODS.items() if not method.needs_poses)


@pytest.mark.parametrize("name", [name for name in FINDERS if name != "refine"])
def test_runs_and_finds_a_pose_of_each(posesless: Path, tmp_path: Path, name: str) -> None:
    run = train(posesless, configured(find_method(name), SETTINGS[name]), tmp_path / "run", seed=0)
    assert run.finished
    if (run.path / "estimates.npz").exists():
        rotation = run.estimates()["rotation"]
        assert rotation.shape == (60, 3, 3)
        assert np.isfinite(rotation).all()
    else:
        assert name in ("cryogan", "moments")


def test_refine_asks_for_a_map(posesless: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no poses to begin from: give a map with --set reference"):
        train(posesless, configured(find_method("refine"), JOBS["refine"]), tmp_path / "run", seed=0)
