"""python killing.py STAR FOLDER: jobs (JSON, one a line) on stdin; each runs in a fork of this warm process.

A job names a method, its settings, and the number of the event at which the process kills itself. A run that is there
already goes on.
"""

import json
import os
import signal
import sys
from pathlib import Path

import torch

from hypermol.methods import Conduct, configured, find_method, resume, train


def main(star: Path, folder: Path) -> None:
    torch.set_num_threads(1)
    for line in sys.stdin:
        job = json.loads(line)
        child = os.fork()
        if child == 0:
            run(star, folder / job["name"], job)
            os._exit(0)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


def run(star: Path, out: Path, job: dict) -> None:
    events = 0

    def report(event: dict) -> None:
        nonlocal events
        events += event["event"] in ("progress", "pass")
        if events == job["at"]:
            os.kill(os.getpid(), signal.SIGKILL)

    conduct = Conduct(checkpoint_seconds=0.0, report=report)
    if out.exists():
        resume(out, conduct)
    else:
        train(star, configured(find_method(job["method"]), job["settings"]), out, seed=7, conduct=conduct)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
