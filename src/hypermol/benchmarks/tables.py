"""A benchmark as Markdown and as lines for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypermol.benchmarks.summary import Contest, Line, Values, contests

Row = dict[str, Any]
COSTS = (("wall", "wall_seconds", "s"), ("CPU", "cpu_seconds", "s"), ("memory", "peak_memory_mib", "MiB"))


def number(value: float) -> str:
    """Three significant digits, never in powers of ten."""
    if value == 0 or abs(value) >= 100:
        return f"{value:.0f}"
    digits = 3 if abs(value) < 1 else 2 if abs(value) < 10 else 1
    return f"{value:.{digits}f}"


def shown(values: Values) -> str:
    """The mean over seeds, and the lowest and highest where there are several."""
    text = number(values.mean)
    if len(values.each) > 1:
        text += f" ({number(min(values.each))} to {number(max(values.each))})"
    return f"{text} {values.unit}".rstrip()


def markdown(rows: Sequence[Row], title: str) -> str:
    """The whole benchmark: per problem one table with every entrant, whatever became of it."""
    parts = [f"# {title}", "", _legend(rows), ""]
    for contest in contests(rows):
        parts += [f"## {contest.problem}", "", _about(contest), "", *_table(contest), ""]
        troubles = [f"- {line.entrant}: {_one_line(text)}" for line in contest.lines for text in line.troubles]
        parts += [*troubles, ""] if troubles else []
    return "\n".join(parts).rstrip() + "\n"


def _legend(rows: Sequence[Row]) -> str:
    seeds = sorted({row["seed"] for row in rows})
    words = "Mean over seeds (lowest to highest). " if len(seeds) > 1 else ""
    kinds = {_circumstances(row) for row in rows if "circumstances" in row}
    return (
        f"{words}Seeds: {', '.join(map(str, seeds))}. Wall and processor time are of whole programs, start-up and "
        f"compilation counted. Measured at {'; '.join(sorted(kinds)) or 'no commit: nothing was run'}."
    )


def _circumstances(row: Row) -> str:
    found = row["circumstances"]
    changed = " with uncommitted changes" if found["uncommitted_changes"] else ""
    machine = found["gpu"] or f"{found['processor']}, {found['cores']} cores"
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items() if version)
    return f"commit {found['commit'][:10]}{changed} on {machine} (Python {found['python']}, {versions})"


def _about(contest: Contest) -> str:
    about = contest.about
    if "words" not in about:
        return f"tier {about['tier']}"
    size = f"{about['particles']:,} particles of {about['box']} px at {about['pixel_size']:.3g} Å"
    return f"{about['words']}. {size}; {about['given']}. Molecule: {about['molecule']}. After: {about['source']}."


def _table(contest: Contest) -> list[str]:
    header = ["entrant", "version", "done", *contest.columns, *(f"{name} ({unit})" for name, _, unit in COSTS)]
    body = [_cells(line, contest) for line in contest.lines]
    limits = [contest.limit(name) for name in contest.columns]
    if any(limit is not None for limit in limits):
        shown_limits = ["" if limit is None else number(limit) for limit in limits]
        body.append(["*the images' own limit*", "", "", *shown_limits, *("" for _ in COSTS)])
    return [_line(header), _line(["---"] * len(header)), *map(_line, body)]


def _cells(line: Line, contest: Contest) -> list[str]:
    figures = [shown(line.figures[name]) if name in line.figures else "" for name in contest.columns]
    costs = ["" if line.cost(key) is None else number(line.cost(key) or 0.0) for _, key, _ in COSTS]
    version = str(line.rows[0]["version"] or "absent")
    return [line.entrant, version, f"{len(line.done)} of {len(line.rows)}", *figures, *costs]


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(_one_line(cell).replace("|", "\\|") for cell in cells) + " |"


def _one_line(text: str) -> str:
    return " ".join(text.split())


def row_in_words(row: Row) -> str:
    """One cell as a line for the terminal."""
    head = f"{row['problem']} · {row['entrant']} · seed {row['seed']}"
    if row["status"] != "done":
        return f"{head}: {row['status']}: {_one_line(row['message'])[:160]}"
    (contest,) = contests([row])
    found = contest.lines[0].figures
    first = ", ".join(f"{name} {shown(found[name])}" for name in contest.columns[:2])
    cost = row["cost"]
    times = f"{cost['wall_seconds']:g} s, CPU {cost['cpu_seconds']:g} s, {cost['peak_memory_mib']} MiB"
    return f"{head}: {first}; {times}{' (kept)' if row.get('kept') else ''}"
