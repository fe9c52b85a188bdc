"""hypermol methods"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from cyclopts import Parameter

DATA_SETTINGS = {
    "seed": (0, "of every draw"),
    "box": (None, "Fourier-crop images to so many pixels"),
    "window": (None, "soft round window: radius / half box"),
    "normalise": (True, "by the background's mean and deviation"),
    "sign": ("auto", "1, or -1 for dark particles"),
}


def methods(
    name: Annotated[str | None, Parameter(help="One method, to see its settings.")] = None,
    /,
) -> None:
    """The table of methods: what each represents, infers and optimises, and its paper.

    Example: `hypermol methods`; `hypermol methods cryodrgn` lists what `--set` can set
    """
    from rich.console import Console

    from hypermol.methods import METHODS, find_method

    console = Console(highlight=False)
    if name is None:
        _overview(console, METHODS)
    else:
        _one(console, find_method(name))


def _overview(console: Any, known: Mapping[str, Any]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("method", no_wrap=True, style="bold")
    for heading in ("represents", "infers", "optimises"):
        table.add_column(heading)
    table.add_column("poses", no_wrap=True)
    for name, method in known.items():
        poses = "given" if method.needs_poses else "found"
        table.add_row(name, method.represents, method.infers, method.optimises, poses)
    console.print(table)
    for name, method in known.items():
        console.print(f"[bold]{name}[/]: {method.source}", soft_wrap=not console.is_terminal)
    console.print("\n`hypermol methods NAME` lists the settings of one.")


def _one(console: Any, method: Any) -> None:
    from rich.table import Table

    from hypermol.methods import settings_of

    facts = Table.grid(padding=(0, 2))
    facts.add_row("represents", method.represents)
    facts.add_row("infers", method.infers)
    facts.add_row("optimises", method.optimises)
    found = "are found" if getattr(method, "finds_poses", True) else "are neither needed nor found"
    facts.add_row("poses", "must be given" if method.needs_poses else found)
    facts.add_row("source", method.source)
    console.print(f"[bold]{method.name}[/]", facts)
    settings = Table.grid(padding=(0, 2))
    for key, setting in settings_of(method).items():
        settings.add_row(f"  {key}", _shown(setting.value), _told(setting))
    for key, (value, words) in DATA_SETTINGS.items():
        settings.add_row(f"  {key}", _shown(value), words)
    console.print(f"\nSettings and their defaults (hypermol train … -m {method.name} --set key=value):", settings)


def _told(setting: Any) -> str:
    from rich.markup import escape

    what, allowed = setting.explained, setting.allowed
    return escape(f"{what} ({allowed})" if what and allowed else what or allowed)


def _shown(value: Any) -> str:
    if value is None:
        return "unset"
    return str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)
