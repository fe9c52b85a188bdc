"""What the probes run in: arrays as a source, and a subprocess that can be killed, filled up, resumed and doubled.

python harness.py FOLDER        jobs (JSON, one a line) on stdin; each runs in a fork of one warm process
torchrun harness.py FOLDER      every probe, on all processes
"""

import dataclasses
import importlib.util
import json
import os
import resource
import signal
import subprocess
import sys
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hypermol.engine import Loop, Processes, RunStore, State, generator, stop_on_signals
from hypermol.runs import Run, checkpoints

SEED = 5
PROBES = ("field_adam", "two_class_em", "ppca_halves", "tilt_pairs", "game", "moments", "metropolis")


@dataclasses.dataclass
class Batch:
    """Rows of the arrays, as attributes; ``shared`` goes to every batch whole."""

    particle: Tensor
    rows: dict[str, Tensor]
    shared: dict[str, Any]

    def __getattr__(self, name: str) -> Any:
        values = {**self.__dict__.get("rows", {}), **self.__dict__.get("shared", {})}
        if name not in values:
            raise AttributeError(name)
        return values[name]

    def slice(self, start: int, stop: int) -> "Batch":
        rows = {name: value[start:stop] for name, value in self.rows.items()}
        return Batch(self.particle[start:stop], rows, self.shared)

    def limit(self, band_limit: int) -> "Batch":
        lattice = self.shared["lattice"].limit(band_limit)
        cut = {name: self.rows[name][..., : lattice.size] for name in ("images", "ctf") if name in self.rows}
        return Batch(self.particle, {**self.rows, **cut}, {**self.shared, "lattice": lattice})


@dataclasses.dataclass
class ArraySource:
    """A Source over tensors whose first axis is the particle."""

    rows: dict[str, Tensor]
    shared: dict[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def count(self) -> int:
        return len(next(iter(self.rows.values())))

    def image_count(self, particles: Tensor) -> int:
        return len(particles)

    def pass_order(self, seed: int, pass_index: int, shuffle: bool) -> Tensor:
        if not shuffle:
            return torch.arange(self.count)
        return torch.randperm(self.count, generator=generator(seed, "order", pass_index))

    def stream(self, groups: Iterable[Tensor]) -> Iterator[Batch]:
        for group in groups:
            yield Batch(group, {name: value[group] for name, value in self.rows.items()}, self.shared)


def cloud(k3: Tensor, atoms: int, spread: float, blur: float, seed: int) -> Tensor:
    """Σ exp(-blur k²) exp(-2πi k·r): the exact transform of a cloud of Gaussians at k3 [..., 3] cycles/pixel."""
    centre = spread * torch.randn(atoms, 3, generator=generator(seed, "cloud"), dtype=torch.float64)
    turns = k3 @ centre.T
    size = torch.exp(-blur * k3.square().sum(-1, keepdim=True)).expand_as(turns)
    return torch.polar(size, -2 * torch.pi * turns).sum(-1)


def load(name: str) -> Any:
    """A module beside this one, by file: probes/NAME.py, or NAME.py."""
    folder = Path(__file__).parent
    path = folder / "probes" / f"{name}.py" if name in PROBES else folder / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"engine_{name}", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def open_run(folder: Path) -> Run:
    """The run in ``folder``, begun where there is none."""
    return Run.open(folder) if (folder / "config.toml").exists() else Run.create(folder, {})


def final(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """All that the newest checkpoint of a run holds, but for the size of its log."""
    tensors, data = checkpoints.load_latest(folder / "checkpoints")
    return tensors, {name: value for name, value in data.items() if name != "log"}


def equal(a: tuple[dict, dict], b: tuple[dict, dict]) -> bool:
    """Whether two such states agree in each bit."""
    same = a[0].keys() == b[0].keys() and a[1] == b[1]
    return same and all(torch.equal(a[0][name], b[0][name]) and a[0][name].dtype == b[0][name].dtype for name in a[0])


def run_probe(name: str, folder: Path, **settings: Any) -> State:
    """Begin or resume a probe in a run folder."""
    probe = load(name)
    settings = {"checkpoint_seconds": 0.05, **settings}
    return Loop(probe.program(), probe.source(), RunStore(open_run(folder)), SEED, **settings).run()


# --- faults ----------------------------------------------------------------------------------------------------------


class Fault:
    """Counts events of one kind and at the n-th (never, where n is 0) does what ``action`` says.

    ``kind`` "step": before and after each contribution and update. "write": before and after each call that touches the
    disk while the log or a checkpoint is written, and in the middle of each write.
    ``action`` "kill": SIGKILL. "terminate": SIGTERM. "fill": from now on no file may grow beyond ``limit`` bytes.
    """

    def __init__(self, kind: str = "", at: int = 0, action: str = "kill", limit: int = 0) -> None:
        self.kind, self.at, self.action, self.limit, self.seen = kind, at, action, limit, 0

    def tick(self) -> None:
        self.seen += 1
        if self.seen != self.at:
            return
        if self.action == "fill":
            resource.setrlimit(resource.RLIMIT_FSIZE, (self.limit, self.limit))
        else:
            os.kill(os.getpid(), {"kill": signal.SIGKILL, "terminate": signal.SIGTERM}[self.action])

    def around(self, call: Callable) -> Callable:
        def counted(*args: Any, **kwargs: Any) -> Any:
            self.tick()
            result = call(*args, **kwargs)
            self.tick()
            return result

        return counted

    def install(self) -> None:
        """Put the counter in the way (in a process that was forked for it)."""
        os.fsync = lambda descriptor: None  # a killed process loses nothing that it has written: only a power cut does
        if self.kind == "step":
            Loop._contribute = self.around(Loop._contribute)
            Loop._apply = self.around(Loop._apply)
        elif self.kind == "write":
            for name in ("fsync", "replace", "mkdir", "unlink", "rmdir", "open", "chmod"):
                setattr(os, name, self.around(getattr(os, name)))
            fdopen = os.fdopen
            os.fdopen = lambda descriptor, mode: HalfWriter(fdopen(descriptor, mode, buffering=0), self)
            unwrapped = Path.open
            Path.open = lambda path, mode="r", *rest, **named: (
                HalfWriter(unwrapped(path, "ab", buffering=0), self)
                if mode == "a"
                else unwrapped(path, mode, *rest, **named)
            )


class HalfWriter:
    """An unbuffered stream that writes in two halves, with an event before, between and after them."""

    def __init__(self, stream: Any, fault: Fault) -> None:
        self.stream, self.fault = stream, fault

    def write(self, data: bytes | str) -> None:
        data = data.encode() if isinstance(data, str) else bytes(data)
        self.fault.tick()
        for half in (data[: len(data) // 2], data[len(data) // 2 :]):
            while half:
                half = half[self.stream.write(half) :]
            self.fault.tick()

    def __enter__(self) -> "HalfWriter":
        return self

    def __exit__(self, *error: object) -> None:
        self.stream.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


# --- the subprocess --------------------------------------------------------------------------------------------------


def serve() -> None:
    """Run jobs, one a line of stdin, in forks of this process; say how each ended, one line for each."""
    torch.set_num_threads(1)
    for name in PROBES:
        load(name)
    for line in sys.stdin:
        job = json.loads(line)
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reader)
            os._exit(_in_child(job, writer))
        os.close(writer)
        with os.fdopen(reader) as stream:
            said = stream.read()
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        print(json.dumps({"status": status, "said": said}), flush=True)


def _in_child(job: dict[str, Any], writer: int) -> int:
    """``said``: the number of events seen, or the traceback."""
    say, fault = os.write, Fault(**job["fault"])
    try:
        warnings.simplefilter("error")
        fault.install()
        if job["kill_after"] is not None:
            signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGKILL))
            signal.setitimer(signal.ITIMER_REAL, job["kill_after"])
        with stop_on_signals() as asked_to_stop:
            run_probe(job["probe"], Path(job["folder"]), asked_to_stop=asked_to_stop, **job["settings"])
        said, status = str(fault.seen), 0
    except BaseException:
        said, status = traceback.format_exc(), 1
    say(writer, said.encode())
    return status


class Server:
    """A warm process that runs probes in forks of itself: one start of torch for any number of runs."""

    def __init__(self) -> None:
        pipe = subprocess.PIPE
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen([sys.executable, __file__], stdin=pipe, stdout=pipe, text=True, env=environment)

    def run(
        self, probe: str, folder: Path, kill_after: float | None = None, settings: dict | None = None, **fault: Any
    ) -> tuple[int, str]:
        """Begin or resume a probe in a run folder: (exit status, or minus the signal; what it said)."""
        job = {"probe": probe, "folder": str(folder), "kill_after": kill_after, "settings": settings or {}}
        self.process.stdin.write(json.dumps({**job, "fault": fault}) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        return answer["status"], answer["said"]

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait(10)
        self.process.stdout.close()


def together(folder: Path) -> None:
    """Every probe on all processes of a torchrun launch."""
    torch.set_num_threads(1)
    processes = Processes.join(torch.device("cpu"))
    for name in (*PROBES, "small_batches"):
        if processes.first:
            open_run(folder / name)
        processes.barrier()
        run_probe(name, folder / name, processes=processes, checkpoint_seconds=1e9)
    processes.leave()


if __name__ == "__main__":
    together(Path(sys.argv[1])) if "WORLD_SIZE" in os.environ else serve()
