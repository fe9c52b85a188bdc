"""STAR files as RELION writes them: named blocks, each a list of values or a table, one line per row.

RELION is line-oriented where CIF is a stream of words, so a CIF parser is not used: it would join a row that
is too short with the next one, and it refuses names RELION accepts (a micrograph called ``data_001.mrc``).
A table keeps the lines of the file as they are, so that a selection can leave out lines and change no other.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hypermol.atomic import write_with
from hypermol.errors import DataError
from hypermol.particles.problems import Problems, some

_TOKEN = re.compile(r"""(?:"(?P<double>[^"]*)"|'(?P<single>[^']*)'|(?P<plain>\S+))(?=\s|$)|(?P<odd>\S+)""")
_CHUNK = 4096


@dataclass(frozen=True, eq=False)
class StarTable:
    """One block. ``columns`` without the leading underscore; ``lines`` and their 1-based ``numbers`` in the
    file. A block of single values is a table of one row whose line is the values joined, and ``is_loop`` is
    False."""

    name: str
    columns: tuple[str, ...]
    lines: tuple[str, ...]
    numbers: NDArray[np.int64]
    is_loop: bool

    def __contains__(self, column: str) -> bool:
        return column in self.columns

    def __len__(self) -> int:
        return len(self.lines)

    def read(
        self, words: Sequence[str], numbers: Sequence[str], problems: Problems
    ) -> tuple[dict[str, list[str]], dict[str, NDArray[np.float64]]]:
        """Some columns as words and some as float64, in one pass over the lines (a file may have millions).

        Rows with more or fewer words than columns, and words that are no finite number, become problems.
        """
        reading = _Reading(self, list(words), list(numbers))
        lines = zip(self.lines, self.numbers.tolist())
        while chunk := list(islice(lines, _CHUNK)):
            reading.add(chunk)
        reading.report(problems)
        return reading.words, {name: np.concatenate([[], *parts]) for name, parts in reading.parts.items()}

    def texts(self, names: Sequence[str]) -> dict[str, list[str]]:
        """The words of some columns. Raises DataError where a row is not whole."""
        problems = Problems(Path(f"data_{self.name}"))
        words, _ = self.read(names, (), problems)
        problems.raise_if_any()
        return words


class _Reading:
    """Columns gathered chunk by chunk, with what was wrong on the way."""

    def __init__(self, table: StarTable, words: list[str], numbers: list[str]) -> None:
        self.name, self.width = table.name, len(table.columns)
        self.words: dict[str, list[str]] = {name: [] for name in words}
        self.parts: dict[str, list[NDArray[np.float64]]] = {name: [] for name in numbers}
        self.places = [table.columns.index(name) for name in (*words, *numbers)]
        self.uneven: list[str] = []
        self.no_numbers: dict[str, list[str]] = {}

    def add(self, chunk: list[tuple[str, int]]) -> None:
        rows = [split_line(line) for line, _ in chunk]
        if any(len(row) != self.width for row in rows):
            odd = [(len(row), number) for row, (_, number) in zip(rows, chunk) if len(row) != self.width]
            self.uneven += [f"line {number} has {found} of {self.width} values" for found, number in odd]
            chunk = [entry for row, entry in zip(rows, chunk) if len(row) == self.width]
            rows = [row for row in rows if len(row) == self.width]
        columns = [[row[place] for row in rows] for place in self.places]
        for column, gathered in zip(columns, self.words.values()):
            gathered.extend(column)
        for column, (name, parts) in zip(columns[len(self.words) :], self.parts.items()):
            parts.append(self._numbers(name, column, chunk))

    def _numbers(self, name: str, column: list[str], chunk: list[tuple[str, int]]) -> NDArray[np.float64]:
        try:
            values = np.array(column, dtype=np.float64)
        except ValueError:
            values = np.array([_number(word) for word in column])
        for i in np.flatnonzero(~np.isfinite(values)):
            self.no_numbers.setdefault(name, []).append(f"{column[i]!r} in line {chunk[i][1]}")
        return values

    def report(self, problems: Problems) -> None:
        if self.uneven:
            problems.add(f"data_{self.name}: rows are not whole: {some(self.uneven)}; each row is one line")
        for name, found in self.no_numbers.items():
            problems.add(f"{name}: expected a finite number, found {some(found)}; correct the file")


def split_line(line: str) -> list[str]:
    """The words of a line: single and double quotes taken off, a comment (# after a blank) dropped."""
    if "#" not in line and '"' not in line and "'" not in line:
        return line.split()
    words = []
    for match in _TOKEN.finditer(line):
        kind = match.lastgroup or "odd"
        word = match.group(kind)
        if kind in ("plain", "odd") and word.startswith("#"):
            break
        words.append(word)
    return words


def read_star(path: Path) -> tuple[StarTable, ...]:
    """All blocks of a star file, in their order.

    Raises DataError where the file is missing, empty or no star file.
    """
    text = read_text(path)
    tables = parse_star(text)
    if not tables:
        found = "an empty file" if not text.strip() else f"{text.strip().splitlines()[0][:60]!r}"
        raise DataError(f"{path}: expected a star file (data_ blocks with loop_ tables), found {found}")
    return tables


def read_text(path: Path) -> str:
    """A text file (UTF-8; other bytes are kept as they are). Raises DataError where it cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape", newline="") as file:
            return file.read()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from None


def parse_star(text: str) -> tuple[StarTable, ...]:
    """The blocks in a text. Text that is no star file has no blocks."""
    parser = _Parser()
    for number, line in enumerate(text.split("\n"), start=1):
        parser.feed(number, line)
    return parser.finish()


class _Parser:
    """Line by line: where we are (which block, names or rows) and what has been gathered."""

    def __init__(self) -> None:
        self.tables: list[StarTable] = []
        self.name: str | None = None
        self._clear()

    def _clear(self) -> None:
        self.columns: list[str] = []
        self.rows: list[str] = []
        self.numbers: list[int] = []
        self.loop = False
        self.blank = True

    def feed(self, number: int, line: str) -> None:
        stripped = line.strip()
        if not stripped:
            self.blank = True
        elif stripped.startswith("#"):
            pass
        elif self._starts_block(stripped):
            self._close()
            self.name = stripped.split()[0][len("data_") :]
        elif self.name is None:
            pass
        elif stripped.split()[0] == "loop_":
            self._close()
            self.loop = True
        elif stripped.startswith("_") and not (self.loop and self.rows):
            self._column(number, stripped)
        elif self.loop and self.columns:
            self._row(number, line)
        if stripped:
            self.blank = False

    def _starts_block(self, stripped: str) -> bool:
        """``data_name`` alone in its line; in a table of one column, where a file may be called that, only after
        a blank line."""
        if not stripped.startswith("data_"):
            return False
        alone = len(split_line(stripped)) == 1
        return alone and (self.blank or not self.rows or len(self.columns) > 1)

    def _column(self, number: int, stripped: str) -> None:
        words = split_line(stripped)
        self.columns.append(words[0][1:])
        if not self.loop:
            self.numbers.append(number)
            self.rows.append(words[1] if len(words) > 1 else "")

    def _row(self, number: int, line: str) -> None:
        self.rows.append(line)
        self.numbers.append(number)

    def _close(self) -> None:
        if self.name is not None and self.columns:
            numbers = np.array(self.numbers, dtype=np.int64)
            if self.loop:
                table = StarTable(self.name, tuple(self.columns), tuple(self.rows), numbers, True)
            else:
                line = " ".join(quoted_word(word) for word in self.rows)
                table = StarTable(self.name, tuple(self.columns), (line,), numbers[:1], False)
            self.tables.append(table)
        self._clear()

    def finish(self) -> tuple[StarTable, ...]:
        self._close()
        return tuple(self.tables)


@dataclass(frozen=True)
class StarDocument:
    """A star file that can be written again with fewer rows, or other columns, in one of its tables; columns: that it
    had when it was read."""

    path: Path
    table: int
    rows: int
    columns: tuple[str, ...]

    def write_rows(self, rows: NDArray[np.int64], out: Path) -> None:
        """Write the file with only these rows (0-based) of the particle table; all else stays byte by byte.

        Raises DataError where the file has changed since it was read.
        """
        lines, table = self._read()
        kept = set(np.asarray(rows).tolist())
        dropped = {int(n) - 1 for i, n in enumerate(table.numbers) if i not in kept}
        write_text(out, "\n".join(line for i, line in enumerate(lines) if i not in dropped))

    def write_columns(self, rows: NDArray[np.int64], columns: Mapping[str, Sequence[str]], out: Path) -> None:
        """Write the file with these rows (0-based, none before an earlier one; a row may come several times in turn)
        and their words in some columns of the particle table: in place of the old ones, or added at the end. All other
        words and blocks stay.

        Raises DataError where the file has changed since it was read, or the table is no table of rows.
        """
        lines, table = self._read()
        if not table.is_loop:
            raise DataError(f"{self.path}: data_{table.name} holds one row of single values; write it as a table")
        names = [*table.columns, *(name for name in columns if name not in table)]
        places = defaultdict(list)
        for turn, row in enumerate(rows):
            places[int(table.numbers[row]) - 1].append(turn)
        old = {int(number) - 1 for number in table.numbers}
        first = min(old)
        header = max(i for i, line in enumerate(lines[:first]) if line.strip().split()[:1] == ["loop_"])
        written = [*lines[: header + 1], *(f"_{name} #{i}" for i, name in enumerate(names, start=1))]
        for i, line in enumerate(lines[first:], start=first):
            if i not in old:
                written.append(line)
                continue
            known = dict(zip(table.columns, split_line(line))) if i in places else {}
            for turn in places.get(i, ()):
                words = known | {name: values[turn] for name, values in columns.items()}
                written.append(" ".join(quoted_word(words[name]) for name in names))
        write_text(out, "\n".join(written))

    def _read(self) -> tuple[list[str], StarTable]:
        text = read_text(self.path)
        tables = parse_star(text)
        if len(tables) <= self.table or len(tables[self.table]) != self.rows:
            raise DataError(f"{self.path}: the file has changed since it was read; read it again")
        return text.split("\n"), tables[self.table]


def write_text(path: Path, text: str) -> None:
    """Write a text file, whole or not at all, bytes that are no UTF-8 as they were read.

    Raises DataError where it cannot be written.
    """
    try:
        write_with(path, lambda file: file.write(text.encode("utf-8", "surrogateescape")))
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error.strerror or error})") from None


def quoted_word(word: str) -> str:
    return f'"{word}"' if not word or any(c.isspace() for c in word) or word[0] in "\"'#" else word


def _number(word: str) -> float:
    try:
        return float(word)
    except ValueError:
        return float("nan")
