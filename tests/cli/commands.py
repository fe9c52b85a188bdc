"""What the tests of the command line share: a command run in process, and small data sets to read and to spoil."""

import io
import re
from collections.abc import Iterable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hypermol.cli import main
from hypermol.particles import StackReader, StackWriter

INTERNALS = re.compile(
    r"Traceback|\w+Error\b|\w+Exception\b|Errno|<class|object at 0x|NoneType|dtype|ndarray|[Nn]um[Pp]y|[Tt]orch\b|"
    r"[Tt]ensor|[Pp]ydantic|Input should|\bNone\b|\bTrue\b|\bFalse\b|fault in hypermol"
)
TINY = ("volume.hidden=16", "volume.layers=1", "conformation.hidden=16", "conformation.layers=1", "z_dim=2")
NEURAL = ("train", "-m", "cryodrgn")
PIXEL = 12.0


@dataclass(frozen=True)
class Said:
    """What a command left: its exit status and what it printed."""

    status: int
    out: str
    err: str

    @property
    def text(self) -> str:
        return self.out + self.err


def hypermol(*arguments: object) -> Said:
    """Run one command in this process. Nothing of Python may show in what it prints."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        status = main([str(argument) for argument in arguments])
    said = Said(status, out.getvalue(), err.getvalue())
    found = INTERNALS.search(said.text)
    assert not found, f"{found}: {said.text}"
    return said


def done(*arguments: object) -> Said:
    """Run a command that must succeed."""
    said = hypermol(*arguments)
    assert said.status == 0, said.text
    return said


def refused(*arguments: object, words: Iterable[str] = ()) -> str:
    """Run a command that must end with exit status 2 and a message on standard error that holds ``words``."""
    said = hypermol(*arguments)
    assert said.status == 2, said.text
    assert said.err.startswith("hypermol: ")
    for word in words:
        assert word in said.err, f"{word!r} is not in: {said.err}"
    return said.err


def settings(*values: str) -> list[str]:
    """``--set`` before each."""
    return [part for value in values for part in ("--set", value)]


def change_cell(star: Path, column: str, row: int, value: str | None) -> None:
    """Set (or, with None, take out) a value of a star file, by column name and 0-based row of its table."""
    lines = star.read_text().split("\n")
    rows, place = _table(lines, column)
    words = lines[rows[row]].split()
    words[place : place + 1] = [] if value is None else [value]
    lines[rows[row]] = " ".join(words)
    star.write_text("\n".join(lines))


def drop_column(star: Path, *columns: str) -> None:
    """Take columns out of their tables."""
    for column in columns:
        lines = star.read_text().split("\n")
        rows, place = _table(lines, column)
        for row in rows:
            words = lines[row].split()
            lines[row] = " ".join(words[:place] + words[place + 1 :])
        heading = next(i for i, line in enumerate(lines) if line.startswith(f"_{column} "))
        star.write_text("\n".join(line for i, line in enumerate(lines) if i != heading))


def _table(lines: list[str], column: str) -> tuple[list[int], int]:
    """The lines that hold the rows of the table with this column, and the column's place in them."""
    heading = next(i for i, line in enumerate(lines) if line.startswith(f"_{column} "))
    start = max(i for i in range(heading) if lines[i].startswith("loop_")) + 1
    first = next(i for i in range(heading, len(lines)) if lines[i] and lines[i][0] not in "_#")
    last = next((i for i in range(first, len(lines)) if not lines[i].strip()), len(lines))
    return list(range(first, last)), heading - start


def change_pixels(stack: Path, image: int, value: float, whole: bool = False) -> None:
    """Overwrite one pixel, or all, of one image of a stack."""
    reader = StackReader(stack)
    pixels = reader.read(np.arange(reader.header.sections))
    pixels[(image,) if whole else (image, 3, 4)] = value
    write_stack(stack, pixels)


def write_stack(stack: Path, pixels: np.ndarray) -> None:
    with StackWriter(stack, pixels.shape[-1], PIXEL) as writer, np.errstate(invalid="ignore"):
        writer.append(pixels)


def cs_table(**fields: np.ndarray) -> np.ndarray:
    """A structured array as in a .cs file; ``a__b`` stands for the field a/b."""
    columns = {name.replace("__", "/"): values for name, values in fields.items()}
    table = np.empty(len(next(iter(columns.values()))), [(n, v.dtype, v.shape[1:]) for n, v in columns.items()])
    for name, values in columns.items():
        table[name] = values
    return table


def cs_fields(stack: str, count: int, box: int) -> dict[str, np.ndarray]:
    """The fields of a whole .cs file with poses, under ``cs_table``'s names."""
    generator = np.random.default_rng(1)
    return {
        "uid": np.arange(1, count + 1, dtype=np.uint64),
        "blob__path": np.full(count, stack.encode()),
        "blob__idx": np.arange(count, dtype=np.uint32),
        "blob__shape": np.full((count, 2), box, dtype=np.uint32),
        "blob__psize_A": np.full(count, PIXEL, dtype=np.float32),
        "ctf__accel_kv": np.full(count, 300.0),
        "ctf__cs_mm": np.full(count, 2.7),
        "ctf__amp_contrast": np.full(count, 0.1),
        "ctf__df1_A": generator.uniform(1e4, 2e4, count),
        "ctf__df2_A": generator.uniform(1e4, 2e4, count),
        "ctf__df_angle_rad": generator.uniform(-3, 3, count),
        "alignments3D__pose": generator.normal(size=(count, 3)).astype(np.float32),
        "alignments3D__shift": generator.normal(size=(count, 2)).astype(np.float32),
        "alignments3D__psize_A": np.full(count, PIXEL, dtype=np.float32),
    }
