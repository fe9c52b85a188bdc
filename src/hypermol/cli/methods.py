"""hypermol methods"""

from __future__ import annotations


def methods() -> None:
    """The table of methods: what each represents, infers and optimises, and its paper.

    Example: `hypermol methods`
    """
    from rich.console import Console
    from rich.table import Table

    from hypermol.methods import METHODS

    table = Table(title="Methods", show_lines=True)
    for heading in ("method", "represents", "infers", "optimises", "poses", "source"):
        table.add_column(heading, overflow="fold")
    for name, method in METHODS.items():
        poses = "given" if method.needs_poses else "found"
        table.add_row(name, method.represents, method.infers, method.optimises, poses, method.source)
    Console().print(table)
