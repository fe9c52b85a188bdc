"""A trained encoder looks at images that its run has never seen; a run is rebuilt from its folder for that."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from hypermol.errors import ConfigError
from hypermol.methods import configured, find_method, infer, rebuild, resume_inference, train, trained_encoder
from hypermol.particles import ImageSource, Preparation, read_particles
from hypermol.runs import Run
from hypermol.simulation import Recipe, simulate

SMALL = {
    "pose.channels": 2,
    "pose.hidden": 16,
    "volume.hidden": 16,
    "volume.layers": 1,
    "z_dim": 2,
    "batch_size": 20,
    "precision": "float32",
}


def simulated(folder: Path, seed: int, **more) -> Path:
    simulate(Recipe.named("hinge", box=16, snr=2.0, seed=seed, **{"n": 40, **more}), folder)
    return folder / "particles.star"


@pytest.mark.parametrize("variational", [False, True])
def test_looks_at_other_images_and_says_of_its_own_what_the_run_said(tmp_path: Path, variational: bool) -> None:
    star = simulated(tmp_path / "data", 1)
    method = configured(find_method("cryofire"), {**SMALL, "phases.0.images": 60, "pose.variational": variational})
    run = train(star, configured(method, {"epochs": 1}), tmp_path / "run", seed=3)
    encoder, own = trained_encoder(run, "cpu"), run.estimates()
    found = encoder.look_at_all(ImageSource(read_particles(star)), batch_size=15)
    assert ("z_covariance" in found) == variational
    for name, rows in found.items():
        np.testing.assert_allclose(rows.numpy(), own[name], rtol=1e-4, atol=1e-4, err_msg=name)
    other = encoder.look_at_all(ImageSource(read_particles(simulated(tmp_path / "other", 2))))
    assert other["rotation"].shape == (40, 3, 3)
    assert other["z"].shape == (40, 2)
    small = ImageSource(read_particles(star), Preparation(box=12))
    with pytest.raises(ConfigError, match="images of 16 px; these have 12 px"):
        encoder.look_at_all(small)


def test_a_run_on_fewer_particles_than_normalise_the_layers_can_be_rebuilt(tmp_path: Path) -> None:
    star = simulated(tmp_path / "data", 1)
    method = configured(find_method("cryofire"), {**SMALL, "phases.0.images": 40, "epochs": 1})
    train(star, method, tmp_path / "run")
    few = simulated(tmp_path / "few", 2, n=10)
    assert rebuild(infer(tmp_path / "run", few, tmp_path / "inferred", reference=0)).map_of(3).shape == (16, 16, 16)


def test_two_processes_infer_as_one_and_one_that_is_killed_goes_on(tmp_path: Path) -> None:
    """Under torchrun with gloo, and after SIGKILL, through the command line: the same estimates."""
    star = simulated(tmp_path / "data", 1)
    method = configured(find_method("cryofire"), {**SMALL, "phases.0.images": 40, "epochs": 1})
    train(star, method, tmp_path / "run")
    many = simulated(tmp_path / "many", 2, n=1500)
    command = ["-m", "hypermol", "infer", str(tmp_path / "run"), str(many), "--device", "cpu", "-o"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    two = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run([*two, *command, str(tmp_path / "two")], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    killed = subprocess.Popen([sys.executable, *command, str(tmp_path / "one")], env=environment)
    while not (tmp_path / "one" / "config.toml").exists() and killed.poll() is None:
        time.sleep(0.002)
    killed.kill()
    killed.wait()
    assert not Run.open(tmp_path / "one").finished
    one = resume_inference(tmp_path / "one").estimates()
    for name, rows in Run.open(tmp_path / "two").estimates().items():
        if name != "outlier":
            np.testing.assert_allclose(rows, one[name], rtol=1e-3, atol=1e-4, err_msg=name)


def test_what_has_no_encoder_is_refused(tmp_path: Path) -> None:
    star = simulated(tmp_path / "data", 1)
    run = train(star, configured(find_method("backprojection"), {}), tmp_path / "run")
    with pytest.raises(ConfigError, match="backprojection has no encoder of poses"):
        trained_encoder(run)


def test_tilt_pairs_are_refused_before_a_run_is_made(tmp_path: Path) -> None:
    star = simulated(tmp_path / "data", 1, tilts_deg=(0.0, 45.0))
    with pytest.raises(ConfigError, match="one image per particle"):
        train(star, configured(find_method("cryofire"), SMALL), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_z_begins_only_when_enough_images_were_seen(tmp_path: Path) -> None:
    """Layers that give z stay as they began in the first phase, which ends in the middle of a pass, and move in the
    second."""
    from hypermol.engine import Loop, MemoryStore, Processes, Program
    from hypermol.methods import Conduct
    from hypermol.methods.job import make_ready

    star = simulated(tmp_path / "data", 1)
    method = configured(find_method("cryofire"), {**SMALL, "phases.0.images": 60, "epochs": 1})
    job = make_ready(read_particles(star), method, Preparation(), 1, Conduct(), Processes())
    begun = job.program.initialise()
    ends = []
    for phases in (job.program.phases[:1], job.program.phases[:2]):
        program = Program(job.program.initialise, phases)
        ends.append(Loop(program, job.source, MemoryStore(), seed=1, microbatch=128).run())
    assert ends[0].clock.images == 60
    assert ends[1].clock.images == 100
    name = "model.pose.encoder.z_head.0.weight"
    assert (ends[0].tensors[name] == begun.tensors[name]).all()
    assert (ends[1].tensors[name] != begun.tensors[name]).any()
    other = "model.pose.encoder.rotation_head.0.weight"
    assert (ends[0].tensors[other] != begun.tensors[other]).any()


def test_parts_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ConfigError, match="answers for z as well"):
        configured(find_method("cryofire"), {"conformation": "variational-encoder"})
    with pytest.raises(ConfigError, match="needs a conformation"):
        configured(find_method("cryodrgn"), {"conformation": "with-pose"})
    with pytest.raises(ConfigError, match="z_dim"):
        configured(find_method("cryofire"), {"pose.z_dim": 4})
