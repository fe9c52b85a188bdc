"""hypermol report"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def report(run: Annotated[Path, Parameter(help="A run folder.")], /) -> None:
    """One HTML page that opens offline: what was run, the landscape, the maps, the moving molecule, the warnings.

    Example: `hypermol report run`
    """
    from hypermol.report import report_run
    from hypermol.runs import Run

    print(f"report: {report_run(Run.open(run)).resolve()}")
