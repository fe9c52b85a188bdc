"""`hypermol COMMAND …`: exit status 0 (done), 1 (it failed), 2 (wrong input or arguments)."""

from __future__ import annotations

import errno
import os
import sys
import traceback
import warnings
from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

from hypermol import __version__
from hypermol.cli.say import complain
from hypermol.errors import HypermolError
from hypermol.plugins import OutsideWarning

if TYPE_CHECKING:
    from cyclopts import App, CycloptsError

COMMANDS = (
    "demo",
    "methods",
    "check",
    "train",
    "volumes",
    "analyze",
    "report",
    "infer",
    "select",
    "relocate",
    "flip",
    "expand",
    "simulate",
    "evaluate",
    "validate",
    "bench",
)
SUMMARY = """From cryo-EM particle images to a moving molecule.

Start with `hypermol demo`. `hypermol COMMAND --help` tells more, with an example.
"""
_PLAIN = warnings.showwarning
FULL = (errno.EFBIG, errno.ENOSPC, errno.EDQUOT)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status (also used as the console script)."""
    from cyclopts import CycloptsError

    # threads that wait sleep instead of spinning: as fast on a free machine, several times faster on a busy one
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    warnings.showwarning = _show_warning
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        application(given)(given, exit_on_error=False, print_error=False)
    except CycloptsError as error:
        complain(_argument_in_words(error, given))
        return 2
    except HypermolError as error:
        complain(str(error))
        return error.exit_status
    except KeyboardInterrupt:
        complain("stopped")
        return 1
    except BrokenPipeError:  # the reader of our output has gone (`| head`)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        complain(_in_words(error))
        return 1
    except MemoryError:
        complain("there is not enough memory for this; a smaller box (--set box=…) or --memory-gb may help")
        return 1
    except Exception as error:
        return _fault(error)
    return 0


def application(arguments: Sequence[str] = ()) -> App:
    """The parser of all commands. A command's module is asked for a slow ``epilogue`` only where its help is wanted."""
    from cyclopts import App

    app = App(
        name="hypermol",
        help=SUMMARY,
        version=__version__,
        help_format="markdown",
        result_action="return_value",
        suppress_keyboard_interrupt=False,
    )
    for place, name in enumerate(COMMANDS):
        module = import_module(f"hypermol.cli.{name}")
        asked = arguments[:1] == [name] and not {"--help", "-h"}.isdisjoint(arguments)
        more = module.epilogue() if asked and hasattr(module, "epilogue") else None
        app.command(getattr(module, name), name=name, sort_key=place, help_epilogue=more)
    return app


def _show_warning(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
    """What is wrong with another package's part is said in our own voice; other warnings as Python does."""
    if issubclass(category, OutsideWarning):
        complain(f"warning: {message}")
    else:
        _PLAIN(message, category, *where, **more)


def _argument_in_words(error: CycloptsError, given: Sequence[str]) -> str:
    left = getattr(error, "unused_tokens", None) if type(error).__name__ == "UnusedCliTokensError" else None
    text = str(error).strip()
    if left:
        each = "; each setting needs a --set of its own" if any("=" in token for token in left) else ""
        text = f"{' '.join(left)}: not expected here{each}"
    command = f" {given[0]}" if given and given[0] in COMMANDS else ""
    return f"{text} (see `hypermol{command} --help`)"


def _in_words(error: OSError) -> str:
    where = f"{error.filename}: " if error.filename else ""
    hint = "; make room and try again" if error.errno in FULL else ""
    return f"{where}{error.strerror or error}{hint}"


def _fault(error: Exception) -> int:
    """An error that nobody foresaw: our mistake, shown with what is needed to find it."""
    if type(error).__name__ == "OutOfMemoryError":
        complain("the GPU has not enough memory for this; a smaller batch_size, microbatch or box (--set) may help")
        return 1
    traceback.print_exc()
    complain(
        f"this is a fault in hypermol {__version__}, not in your data; please report it with the lines above "
        f"({type(error).__name__}: {error})"
    )
    return 1
