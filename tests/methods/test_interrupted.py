"""A run that was killed and resumed, one on two processes, and one rebuilt from disk are all the same run."""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import PIPE

import killing
import pytest
import torch
from small import TINY, TINY_Z, same_estimates

from hypermol.engine import Loop, MemoryStore, Processes
from hypermol.maps import read_map
from hypermol.methods import (
    Conduct,
    configured,
    find_method,
    infer,
    rebuild,
    resume,
    resume_inference,
    train,
)
from hypermol.methods.job import make_ready
from hypermol.particles import Preparation, read_particles
from hypermol.runs import Run, checkpoints

ENCODER = {"conformation.hidden": 16, "conformation.layers": 1}
CLASSES = {"component_passes": 4, "start_passes": 4, "passes": 5, "joint_passes": 2}
STARTS = {"starts": 2, "images": 20, "first_shells": 3, "last_shells": 4, "batch_size": 20}
REFINED = {"search_passes": 1, "local_passes": 1, "kept": 2}
POSED = {f"poses.{name}": value for name, value in {**REFINED, **STARTS}.items()} | {
    "conformations": 2,
    **{
        f"volumes.{name}": value for name, value in {"z_dim": 2, "choose": False, "passes": 3, "batch_size": 20}.items()
    },
    **{f"volumes.{name}": 1 for name in ("march_passes", "joint_passes")},
}
CLASSES_POSED = {"classes": 2, "starts": 1, "images": 20, "apart_images": 10, "first_shells": 3, "last_shells": 4}
CLASSES_POSED |= {"batch_size": 20, "consensus_passes": 1, "start_band": 0.8, "joint_passes": 1}
SEARCHED = {
    "phases.1.turns": 2,
    "phases.1.search_batch": 10,
    "phases.1.batch_size": 10,
    "phases.2.turns": 1,
    "phases.2.clusters": 2,
    "pose.first_order": 1,
    "pose.last_order": 1,
}
NARROW = {"pose.channels": 2, "pose.hidden": 16}
SEARCHED_TOO = {**TINY_Z, **SEARCHED, "epochs": 2}
GAME = {"critic.channels": 2, "critic.most": 4, "turns": 6, "batch_size": 5, "critic_steps": 2, "band_start": 0.3}
GAME |= {"restarts": 0, "march_end": 0.6}
ASSIGNED = {"assign": True, "assignment.conformations": 2, "assignment.search.last_order": 1}
JOBS = {
    "cryogan": GAME,
    "multi-cryogan": {**GAME, **ASSIGNED, "volume.channels": 1},
    "cryodrgn": {**TINY_Z, **ENCODER, "phases.0.march_start": 0.5},
    "autodecoder": TINY_Z,
    "neural-homogeneous": TINY,
    "backprojection": {"batch_size": 10},
    "moments": {"starts": 1, "shells": 2, "degree": 2, "iterations": 5, "batch_size": 10},
    "covariance": {"z_dim": 2, "choose": False, "columns": 6, "subspace": 4, "batch_size": 10},
    "abinitio": {**REFINED, **STARTS},
    "refine": {**REFINED, "local_passes": 2, "contrast": True, "defocus": True, "batch_size": 10},
    "ppca-abinitio": POSED,
    "hyper-molecule": {
        **{"volume.shells": 3, "volume.degree": 1, "find_passes": 2, "settle_passes": 1, "samples": 2},
        **{"sampler.moves": 1, "sampler.jumps": 4, "sampler.jump_every": 1, "batch_size": 20},
    },
    "classify-abinitio": {**REFINED, **CLASSES_POSED, "start_passes": 2, "component_passes": 4, "passes": 2},
    "classify": {**CLASSES, "classes": 3, "restarts": 0, "batch_size": 20, "start_band": 0.8},
    "cryodrgn2": {**SEARCHED_TOO, **ENCODER},
    "cryodrgn-bnb": {**SEARCHED_TOO, **ENCODER, "phases.3.hidden": 24},
    "drgnai": SEARCHED_TOO,
    "cryofire": {
        **TINY_Z,
        **NARROW,
        "phases.0.images": 90,
        "pose.variational": True,
        "pose.heads": 2,
        "pose.copies": "quarter-turns",
    },
    "cryoai": {"volume.hidden": 16, "epochs": 3, "batch_size": 10, **NARROW, "pose.mirrored": True},
    "cryoposenet": {"epochs": 3, "batch_size": 10, **NARROW},
    "hybrid": {
        **{**TINY_Z, "z_dim": 2, "epochs": 2, "pose.channels": 4, "pose.hidden": 16, "pose.step_deg": 30.0},
        **{"phases.0.images": 60, "phases.0.batch_size": 10, "phases.1.passes": 1, "phases.1.batch_size": 10},
        **{"phases.2.batch_size": 10, "phases.2.clusters": 2},
    },
}


@pytest.fixture(scope="module")
def killer(star: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str, int | None], Path]]:
    """A run of a method that is killed with SIGKILL once its newest checkpoint has been through so many passes; one
    that was killed before goes on."""
    folder = tmp_path_factory.mktemp("killed")
    command = [sys.executable, killing.__file__, str(star), str(folder)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, stdin=PIPE, stdout=PIPE, text=True, env=environment) as warm:
        assert warm.stdin is not None
        assert warm.stdout is not None

        def killed(method: str, at: int | None) -> Path:
            job = {"name": method, "method": method, "settings": JOBS[method], "at": at}
            warm.stdin.write(json.dumps(job) + "\n")
            warm.stdin.flush()
            assert warm.stdout.readline().strip() == "-9", job
            run = folder / method
            assert not Run.open(run).finished
            if at is not None:
                assert saved_passes(run) >= at, job
            return run

        yield killed
        warm.stdin.close()


def saved_passes(run: Path) -> int:
    """Whole passes that its newest checkpoint has been through."""
    saved = checkpoints.latest_data(run / "checkpoints")
    assert saved is not None, f"{run.name}: nothing was saved"
    return int(saved["clock"]["total_passes"])


@pytest.mark.parametrize("method", JOBS)
def test_killed_and_resumed(star: Path, killer: Callable[[str, int | None], Path], tmp_path: Path, method: str) -> None:
    """Killed at its beginning, midway and in its last pass."""
    straight = train(star, configured(find_method(method), JOBS[method]), tmp_path / "straight", seed=7)
    passes = sum(row["event"] == "pass" for row in straight.log())
    for at in sorted({0, passes // 2, passes - 1}) if passes > 1 else [None]:
        killed = killer(method, at)
    run = resume(killed)
    assert run.finished
    if method not in ("backprojection", "moments", "cryogan"):  # no estimates.npz
        same_estimates(run, straight)
    for volume in straight.volumes.glob("*.mrc"):
        torch.testing.assert_close(
            read_map(run.volumes / volume.name)[0], read_map(volume)[0], rtol=0, atol=0, msg=volume.name
        )


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize(
    "method", ["cryodrgn", "autodecoder", "neural-homogeneous", "cryodrgn-bnb", "cryofire", "cryoai"]
)
def test_rebuilt_from_disk(star: Path, tmp_path: Path, method: str, precision: str) -> None:
    """The decoder from a run folder is the decoder in memory."""
    chosen = configured(find_method(method), {**JOBS[method], "precision": precision})
    job = make_ready(read_particles(star), chosen, Preparation(), 3, Conduct(), Processes())
    state = Loop(job.program, job.source, MemoryStore(), seed=3, microbatch=chosen.microbatch).run()
    run = train(star, chosen, tmp_path / "run", seed=3)
    z = (
        None
        if method in ("neural-homogeneous", "cryoai")
        else torch.randn(3, 2, generator=torch.Generator().manual_seed(0))
    )
    trained = rebuild(Run.open(run.path), "cpu")
    torch.testing.assert_close(trained.decode(z), chosen.decoder(state, job.context)(z), rtol=0, atol=0)
    assert trained.pixel_size == job.source.pixel_size
    assert trained.box == 16
    assert trained.has_latent == (z is not None)
    if z is None:
        torch.testing.assert_close(trained.decode(None)[0], read_map(run.volumes / "map.mrc")[0])


def test_rebuilt_from_a_cropped_run(star: Path, tmp_path: Path) -> None:
    method = configured(find_method("cryodrgn"), JOBS["cryodrgn"])
    run = train(star, method, tmp_path / "run", preparation=Preparation(box=12))
    trained = rebuild(run, "cpu")
    assert trained.map_of(5).shape == (12, 12, 12)
    assert trained.pixel_size == pytest.approx(16.0)


@pytest.mark.parametrize("module", ["train", "inference"])
def test_finished_by_another_while_this_one_began(
    star: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str
) -> None:
    """A queue starts a job a second time: it finds the run unfinished, and finished once it may work there."""
    run = train(star, configured(find_method("backprojection"), JOBS["backprojection"]), tmp_path / "run")
    go_on = resume
    if module == "inference":
        run, go_on = infer(run.path, star, tmp_path / "others", reference=0), resume_inference
    log = run.path / "log.jsonl"
    whole = log.read_text()
    log.write_text("".join(line for line in whole.splitlines(True) if json.loads(line)["event"] != "finished"))
    results = {path: path.stat().st_mtime_ns for path in run.path.rglob("*") if path.is_file() and path != log}

    @contextlib.contextmanager
    def waited(path: Path, first: bool) -> Iterator[None]:
        log.write_text(whole)
        yield

    monkeypatch.setattr(sys.modules[f"hypermol.methods.{module}"], "occupied", waited)
    assert go_on(run.path).finished
    assert log.read_text() == whole
    assert {path: path.stat().st_mtime_ns for path in results} == results


@pytest.mark.parametrize("name", ["cryodrgn", "cryofire"])
def test_two_processes_are_one(star: Path, tmp_path: Path, name: str) -> None:
    """Under torchrun with gloo, through the command line: the same estimates, and one voice."""
    rate, bound = {"cryodrgn": (1e-4, 1e-6), "cryofire": (1e-6, 1e-3)}[name]  # rounding grows with the rate
    settings = {**JOBS[name], "precision": "float32", "learning_rate": rate}
    options = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "hypermol"]
    command = [*launch, "train", str(star), "-m", name, "-o", str(tmp_path / "two"), *options, "--device", "cpu"]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("60 particles, 16 px") == 1
    assert done.stdout.count("done in ") == 1
    one = train(star, configured(find_method(name), settings), tmp_path / "one")
    same_estimates(Run.open(tmp_path / "two"), one, bound)


def test_two_processes_refuse_together(star: Path, tmp_path: Path) -> None:
    """An existing folder ends both, with one message and without waiting for each other."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "note.txt").write_text("mine")
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "hypermol"]
    command = [*launch, "train", str(star), "-o", str(tmp_path / "run")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert done.returncode != 0
    assert done.stderr.count("already exists and is not a run folder") == 1
