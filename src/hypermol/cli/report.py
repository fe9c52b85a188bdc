"""hypermol report"""

from __future__ import annotations

from hypermol.cli.options import RunFolder


def report(run: RunFolder, /) -> None:
    """One HTML page that opens offline: what was run, the landscape, the maps, the moving molecule, the warnings.

    Example: `hypermol report run`
    """
    from hypermol.cli.say import say
    from hypermol.report import report_run
    from hypermol.runs import Run

    say(f"report: {report_run(Run.open(run)).resolve()}")
