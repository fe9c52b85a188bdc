"""A finished run applied to particles that it was not trained on: a run folder with their estimates.

One pass, streamed: estimates of each particle are kept, its images are not. The pass is an ordinary job of the engine,
so that it can be stopped, killed, continued, and shared by several processes.
"""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hypermol.engine import Clock, Contribution, Draws, Loop, Phase, Processes, Program, RunStore, State, Step
from hypermol.engine import choose_device as chosen_device
from hypermol.errors import ConfigError
from hypermol.methods.given import Given
from hypermol.methods.infer_checks import require_alike, require_same_frame
from hypermol.methods.infer_words import sentences
from hypermol.methods.job import Conduct, introduce
from hypermol.methods.own_particles import look_again, particles_if_there
from hypermol.methods.record import finds_poses, run_method, run_particles, run_preparation
from hypermol.methods.train import save_estimates
from hypermol.methods.unlike import Alike
from hypermol.methods.unseen import Unseen, fit_rows, unseen_of
from hypermol.particles import ImageSource, Preparation
from hypermol.runs import WARNING, Run, occupied, refuse_existing
from hypermol.shell import quoted

BATCH = 256
POINTS = 1 << 19
"""Fourier pixels of a batch: decoders hold some hundreds of numbers for each."""
REFERENCE = 1000
KEPT_MAPS = ("consensus.mrc", "mask.mrc", "map*.mrc", "component-*.mrc", "class-?.mrc", "class-??.mrc")


def infer(
    trained: Path | str,
    path: Path | str,
    out: Path | str,
    *,
    datadir: Path | str | None = None,
    passthrough: tuple[Path | str, ...] = (),
    poses: Path | str | None = None,
    ctf: Path | str | None = None,
    pixel_size: float | None = None,
    reference: int = REFERENCE,
    z_steps: int = 0,
    conduct: Conduct | None = None,
) -> Run:
    """Estimates of the particles of a file by the finished run ``trained``, as a run folder ``out``.

    ``datadir`` to ``pixel_size``: see ``read_particles``. ``reference``: how many of the run's own particles are looked
    at again, to know what is usual; 0: none is called unlike. ``z_steps``: gradient steps per particle from the z of an
    encoder on. Raises, before the folder is made: ConfigError where the
    run cannot do this or the particles do not fit it (poses, CTF, box, pixel size), DataError for unreadable ones,
    ConventionError where their poses are plainly those of another hand.
    """
    conduct, source_run = conduct or Conduct(), Run.open(trained)
    given = Given.at(path, datadir, passthrough, poses, ctf, pixel_size)
    refuse_existing(out)
    if reference < 0 or z_steps < 0:
        raise ConfigError(f"reference = {reference}, z_steps = {z_steps}: expected 0 or more")
    device, why = chosen_device(conduct.device)
    unseen, state = unseen_of(source_run, device, z_steps)
    particles = given.read()
    preparation = require_alike(particles, particles_if_there(source_run)[0], source_run, state)
    with Processes.join(device) as processes:
        source = ImageSource(particles, preparation, memory_limit_bytes=conduct.memory_limit, device=device)
        introduce(source, why, conduct, processes, every_pixel=False)
        told = {"from": str(source_run.path.resolve()), "reference": reference, "z_steps": z_steps}
        if not finds_poses(run_method(source_run)):
            said = require_same_frame(unseen.volume, _middle(source_run), source, source_run)
            told |= {} if said is None else {"warning": said}
        if processes.first:
            config = {"input": given.to_config(particles), "preparation": _plain(preparation), "inferred": told}
            Run.create(out, {**source_run.config, **config})
        processes.barrier()
        with occupied(Path(out), processes.first):
            return _Inference(Run.open(out), source_run, unseen, state, source, conduct, processes).run()


def resume_inference(path: Path | str, conduct: Conduct | None = None) -> Run:
    """Continue one that was interrupted; a finished one is returned as it is. Raises ConfigError for another run, and
    where another process is working on it."""
    run, conduct = Run.open(path), conduct or Conduct()
    if "inferred" not in run.config:
        raise ConfigError(
            f"{path} was not made by `hypermol infer`; continue it with `hypermol train --resume {quoted(path)}`"
        )
    if run.finished:
        return run
    device, why = chosen_device(conduct.device)
    source_run = Run.open(run.config["inferred"]["from"])
    unseen, state = unseen_of(source_run, device, int(run.config["inferred"]["z_steps"]))
    with Processes.join(device) as processes, occupied(run.path, processes.first):
        if processes.any(run.finished)[0]:  # by another process, since it was looked at
            return run
        prepared = run_preparation(run)
        source = ImageSource(run_particles(run), prepared, memory_limit_bytes=conduct.memory_limit, device=device)
        introduce(source, why, conduct, processes, every_pixel=False)
        return _Inference(run, source_run, unseen, state, source, conduct, processes).run()


def _plain(preparation: Preparation) -> dict[str, Any]:
    return {name: value for name, value in dataclasses.asdict(preparation).items() if value is not None}


def _known(run: Run) -> dict[str, np.ndarray]:
    return run.estimates() if (run.path / "estimates.npz").exists() else {}


def _middle(run: Run) -> np.ndarray | None:
    """The median z of a run."""
    known = _known(run)
    return np.median(known["z"], 0) if "z" in known else None


@dataclasses.dataclass(frozen=True)
class _Inference:
    """The job: the run's own particles first, then the others."""

    folder: Run
    trained: Run
    unseen: Unseen
    state: State
    source: ImageSource
    conduct: Conduct
    processes: Processes

    def run(self) -> Run:
        """Raises InterruptedRun when asked to stop; what was inferred until then is kept."""
        own = self._own()
        loop = Loop(
            Program(self._begun, (self._phase(self.source, "infer"),)),
            self.source,
            RunStore(self.folder),
            seed=int(self.folder.config["seed"]),
            device=torch.device(self.source.device),
            processes=self.processes,
            checkpoint_seconds=self.conduct.checkpoint_seconds,
            report=self.conduct.report,
            asked_to_stop=self.conduct.asked_to_stop,
        )
        table = loop.run().table
        if self.processes.first:
            self._write({name: values.cpu().numpy() for name, values in table.items()}, own)
        self.processes.barrier()
        return self.folder

    def _begun(self) -> State:
        """The run's final parameters: maps at the new z are made by them."""
        return State(self.state.tensors, {}, dict(self.state.data), Clock())

    def _own(self) -> dict[str, np.ndarray]:
        if not self.folder.config["inferred"]["reference"]:
            return {}
        particles, why = particles_if_there(self.trained)
        if particles is None:
            self._say(f"no particle will be called unlike the run's own, which cannot be looked at again: {why}")
            return {}
        device = torch.device(self.source.device)

        def phase(source: ImageSource) -> Phase:
            return self._phase(source, "the run's own particles")

        whole = self.folder, self.trained, particles, self.state
        return look_again(*whole, phase, self.conduct, self.processes, device)

    def _phase(self, source: ImageSource, name: str) -> Phase:
        unseen = self.unseen

        def contribute(state: State, batch: Any, draws: Draws) -> Contribution:
            found = unseen.look(state, batch, draws)
            rows = {**found, **fit_rows(unseen.volume, batch, found)}
            info: dict[str, Tensor | float] = {"fit": rows["fit"].double().sum()}
            if "log_likelihood" in rows:
                info["nll"] = -rows["log_likelihood"].double().sum()
            return Contribution(rows={name: row.detach() for name, row in rows.items()}, info=info)

        size = max(1, min(BATCH, POINTS // source.lattice.size))
        return Phase(name, (Step(contribute),), 1, size, shuffle=False)

    def _write(self, rows: dict[str, np.ndarray], own: dict[str, np.ndarray]) -> None:
        known, judged = _known(self.trained), dict[str, np.ndarray]()
        if own:
            judged = Alike.of(own, known.get("z")).judged(rows)
        found = {**rows, **judged}
        save_estimates(self.folder, self.source.particles, run_method(self.trained), found, self.conduct)
        self.folder.volumes.mkdir(exist_ok=True)
        for path in (path for pattern in KEPT_MAPS for path in self.trained.volumes.glob(pattern)):
            shutil.copyfile(path, self.folder.volumes / path.name)
        warning = self.folder.config["inferred"].get("warning")
        for note in (*([f"{WARNING}{warning}"] if warning else []), *sentences(rows, judged, own, known)):
            self.folder.append_log({"event": "note", "text": note})
            self._say(note)
        self.folder.append_log({"event": "finished", "particles": self.source.count, "skipped": 0})

    def _say(self, text: str) -> None:
        if self.processes.first:
            self.conduct.report({"event": "note", "text": text})
