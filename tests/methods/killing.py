"""python killing.py STAR FOLDER: jobs (JSON, one a line) on stdin; each runs in a fork of this warm process.

A job names a method, its settings, and when the process kills itself: as soon as the newest checkpoint has been
through so many passes (null: after the first pass, whatever is saved). A run that is there already goes on.
"""

import json
import os
import signal
import sys
from pathlib import Path

import torch

from hypermol.methods import Conduct, configured, find_method, resume, train
from hypermol.runs import checkpoints


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
    def report(event: dict) -> None:
        saved = checkpoints.latest_data(out / "checkpoints")
        due = event["event"] == "pass" if job["at"] is None else saved and saved["clock"]["total_passes"] >= job["at"]
        if due and event["event"] in ("progress", "pass"):
            os.kill(os.getpid(), signal.SIGKILL)

    conduct = Conduct(checkpoint_seconds=0.0, report=report)
    if out.exists():
        resume(out, conduct)
    else:
        train(star, configured(find_method(job["method"]), job["settings"]), out, seed=7, conduct=conduct)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
