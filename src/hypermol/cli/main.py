"""`hypermol COMMAND …`: exit status 0 (done), 1 (it failed), 2 (wrong input or arguments)."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module

from hypermol import __version__
from hypermol.errors import HypermolError

COMMANDS = (
    "demo",
    "methods",
    "check",
    "train",
    "volumes",
    "analyze",
    "report",
    "select",
    "simulate",
    "evaluate",
)
SUMMARY = "From cryo-EM particle images to a moving molecule. Start with `hypermol demo`."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status (also used as the console script)."""
    from cyclopts import App, CycloptsError

    app = App(name="hypermol", help=SUMMARY, version=__version__, help_format="markdown", result_action="return_value")
    for name in COMMANDS:
        app.command(getattr(import_module(f"hypermol.cli.{name}"), name), name=name)
    try:
        app(list(sys.argv[1:] if arguments is None else arguments), exit_on_error=False, print_error=True)
    except CycloptsError:
        return 2
    except HypermolError as error:
        _complain(str(error))
        return error.exit_status
    except KeyboardInterrupt:
        _complain("stopped")
        return 1
    except OSError as error:
        _complain(_in_words(error))
        return 1
    return 0


def _complain(message: str) -> None:
    print(f"hypermol: {message}", file=sys.stderr)


def _in_words(error: OSError) -> str:
    where = f"{error.filename}: " if error.filename else ""
    hint = "" if error.errno not in (27, 28, 122) else "; make room and continue with `hypermol train --resume RUN`"
    return f"{where}{error.strerror or error}{hint}"
