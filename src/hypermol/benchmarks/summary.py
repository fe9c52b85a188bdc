"""Rows of a benchmark brought together: per problem and entrant the figures over seeds, nothing left out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from hypermol.benchmarks.figures import FSC_AT_Z, STATES_APART
from hypermol.simulation import DIRECTION, GAIN, ROTATION, SHIFT

Row = dict[str, Any]
ORDER = (
    GAIN,
    FSC_AT_Z,
    "|Spearman|",
    "R²",
    STATES_APART,
    "confusion error of clusters of z",
    "least recall of a state by clusters of z",
    "confusion error of the method's classes",
    "least recall of a state by the method's classes",
    "resolution of the consensus",
    "FSC of the consensus",
    ROTATION,
    DIRECTION,
    SHIFT,
)
"""Figures in the order of their columns; the others follow."""
LEFT_OUT = ("FSC of the noise-free mean map",)


@dataclass(frozen=True)
class Values:
    """A figure over seeds. limit: mean of the images' own limit, or None. share: mean over that limit, for figures of
    which more is better and 0 is nothing."""

    name: str
    unit: str
    how: str
    better: str
    each: tuple[float, ...]
    limit: float | None

    @property
    def mean(self) -> float:
        return fmean(self.each)

    @property
    def share(self) -> float | None:
        """The part of what the images hold: the mean over the limit; None where less is better or the limit is 0."""
        return self.mean / self.limit if self.better == "higher" and self.limit else None


@dataclass(frozen=True)
class Line:
    """One entrant on one problem: its rows (one per seed) and the figures over those that are done."""

    entrant: str
    rows: tuple[Row, ...]
    figures: dict[str, Values]

    @property
    def done(self) -> tuple[Row, ...]:
        return tuple(row for row in self.rows if row["status"] == "done")

    @property
    def troubles(self) -> tuple[str, ...]:
        """Why rows are not done, each reason once with its seeds."""
        reasons: dict[str, list[str]] = {}
        for row in self.rows:
            if row["status"] != "done":
                reasons.setdefault(f"{row['status']}: {row['message']}", []).append(str(row["seed"]))
        return tuple(f"{reason} (seed {', '.join(seeds)})" for reason, seeds in reasons.items())

    def cost(self, name: str) -> float | None:
        """Mean over the seeds that are done."""
        values = [row["cost"][name] for row in self.done]
        return fmean(values) if values else None


@dataclass(frozen=True)
class Contest:
    """One problem: what it is, and a line for each entrant. principal: the figure by which lines are ordered."""

    problem: str
    about: Row
    principal: str | None
    columns: tuple[str, ...]
    lines: tuple[Line, ...]

    def limit(self, name: str) -> float | None:
        """The images' own limit of a figure, mean over seeds."""
        for line in self.lines:
            if name in line.figures and line.figures[name].limit is not None:
                return line.figures[name].limit
        return None


def contests(rows: Iterable[Row]) -> list[Contest]:
    """One per problem, tier and what was given, in the order in which they were run."""
    grouped: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows:
        grouped.setdefault((row["problem"], row["tier"], row["given"]), []).append(row)
    return [_contest(key[0], members) for key, members in grouped.items()]


def _contest(problem: str, rows: list[Row]) -> Contest:
    named: dict[str, list[Row]] = {}
    for row in rows:
        named.setdefault(row["entrant"], []).append(row)
    lines = [Line(name, tuple(members), _figures(members)) for name, members in named.items()]
    present = {name for line in lines for name in line.figures if name not in LEFT_OUT}
    columns = (*(name for name in ORDER if name in present), *sorted(present - set(ORDER)))
    principal = next((name for name in (GAIN, "FSC of the consensus", *columns) if name in present), None)
    about = next((row for row in rows if "words" in row), rows[0])
    return Contest(problem, about, principal, columns, tuple(sorted(lines, key=lambda line: _rank(line, principal))))


def _rank(line: Line, principal: str | None) -> tuple[bool, float]:
    if principal is None or principal not in line.figures:
        return True, 0.0
    values = line.figures[principal]
    return False, -values.mean if values.better == "higher" else values.mean


def _figures(rows: list[Row]) -> dict[str, Values]:
    found: dict[str, list[Row]] = {}
    for row in rows:
        for name, entry in row.get("figures", {}).items():
            if entry["value"] is not None:
                found.setdefault(name, []).append(entry)
    return {name: _values(name, entries) for name, entries in found.items()}


def _values(name: str, entries: list[Row]) -> Values:
    first = entries[0]
    limits = [entry["bound"] for entry in entries if entry.get("bound") is not None]
    limit = fmean(limits) if limits else None
    return Values(name, first["unit"], first["how"], first["better"], tuple(e["value"] for e in entries), limit)
