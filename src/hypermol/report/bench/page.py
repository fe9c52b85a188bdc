"""A benchmark as one HTML page: what won where, per problem every entrant, and under which circumstances."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hypermol import __version__
from hypermol.atomic import write_text
from hypermol.benchmarks.summary import Contest, Line, contests
from hypermol.benchmarks.tables import COSTS, number, shown
from hypermol.report.bench.plots import COLOURS, Dots, bar_plot, dot_plot
from hypermol.report.markup import bullets, data_table, facts_table, fold, paragraph, text
from hypermol.report.page import ICON, asset

Row = dict[str, Any]
READING = (
    "Gain in the moving domain is the headline: 0 means that nothing was learned about motion beyond the best rigid "
    "map, 1 is the truth; a good mask or a rigid core alone scores 0, and a map worse than the mean map scores below.",
    "The dashed line is the images' own limit: what an estimate gets that knows the molecule, its motion, the poses "
    "and the CTF, and lacks only what is asked for. No method can do better on average.",
    "Each dot is one seed, of the particles and of the training alike; the number at the right is their mean.",
    "The oracle is our decoder told the true conformations: what separates it from the limit is the decoder and its "
    "training, what separates a method from the oracle is how well it finds z.",
    "Wall and processor time are of the whole program from its start to its end; peak memory is that of its largest "
    "process.",
)


def write_benchmark_page(rows: Sequence[Row], path: Path, title: str) -> Path:
    """Write the page for the rows of a benchmark, whole or not at all; returns the path."""
    write_text(path, render_benchmark(rows, title))
    return path


def render_benchmark(rows: Sequence[Row], title: str) -> str:
    """The whole page as text. It has no script and asks for nothing from outside."""
    found = contests(rows)
    sections = [
        _section("overview", "At a glance", _overview(found, rows)),
        _section("reading", "How to read these figures", bullets(READING)),
        *(_section(_anchor(contest), contest.problem, _contest(contest)) for contest in found),
        _section("circumstances", "Circumstances", _circumstances(rows)),
    ]
    links = [("overview", "At a glance"), *((_anchor(c), c.problem) for c in found), ("circumstances", "Circumstances")]
    navigation = "".join(f'<a href="#{anchor}">{text(words)}</a>' for anchor, words in links)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>{text(title)}</title><link rel="icon" href="{ICON}">'
        f"<style>{asset('report.css')}{asset('bench.css')}</style></head><body>"
        f'<header><div class="inner"><p class="brand">hypermol</p><h1>{text(title)}</h1></div></header>'
        f'<nav aria-label="Sections"><div class="inner">{navigation}</div></nav><main>{"".join(sections)}</main>'
        f'<footer><div class="inner">Made by hypermol {text(__version__)}.</div></footer></body></html>\n'
    )


def _section(anchor: str, title: str, body: str) -> str:
    return f'<section id="{anchor}"><h2>{text(title)}</h2>{body}</section>'


def _anchor(contest: Contest) -> str:
    return f"problem-{contest.problem}-{contest.about['tier']}"


def _overview(found: Sequence[Contest], rows: Sequence[Row]) -> str:
    counts = {status: sum(row["status"] == status for row in rows) for status in ("done", "failed", "absent", "unfit")}
    words = {"failed": "failed", "absent": "of programs that are not installed", "unfit": "not fit for the problem"}
    others = ", ".join(f"{counts[status]} {said}" for status, said in words.items() if counts[status])
    lead = f"{len(found)} problems, {counts['done']} runs done" + (f"; {others}, listed below" if others else "") + "."
    tiny = any(row["tier"] == "tiny" for row in rows)
    note = paragraph("Problems of the tiny tier show that everything works, not who is better.", "note") if tiny else ""
    return paragraph(lead, "lead") + note + _legend(found) + _matrix(found)


def _legend(found: Sequence[Contest]) -> str:
    """The colours of those who take part."""
    here = {str(row["family"]) for contest in found for line in contest.lines for row in line.rows}
    shown = {name: colour for name, colour in COLOURS.items() if name in here}
    items = "".join(f'<span><i style="background:{colour}"></i>{name}</span>' for name, colour in shown.items())
    return f'<div class="legend">{items}</div>'


def _matrix(found: Sequence[Contest]) -> str:
    """Problems × entrants by each problem's principal figure, the best entrant without help marked."""
    names = list(dict.fromkeys(line.entrant for contest in found for line in contest.lines))
    narrow = [text(name).replace("-", "-<wbr>").replace("_", "_<wbr>") for name in names]
    head = "".join(f"<th scope='col'>{name}</th>" for name in narrow)
    body = "".join(_matrix_row(contest, names) for contest in found)
    return (
        '<div class="scroll"><table class="data matrix"><thead><tr><th scope="col">problem</th>'
        f'<th scope="col">figure</th><th scope="col">limit</th>{head}</tr></thead><tbody>{body}</tbody></table></div>'
    )


def _matrix_row(contest: Contest, names: Sequence[str]) -> str:
    name = contest.principal
    lines = {line.entrant: line for line in contest.lines}
    best = next((line.entrant for line in contest.lines if name in line.figures and line.entrant != "oracle"), None)
    cells = []
    for entrant in names:
        line = lines.get(entrant)
        value = _standing(line, name)
        mark = ' class="best"' if entrant == best else ""
        cells.append(f"<td{mark}>{value}</td>")
    limit = contest.limit(name) if name else None
    link = f'<a href="#{_anchor(contest)}">{text(contest.problem)}</a>'
    shown_limit = number(limit) if limit is not None else ""
    return f"<tr><td>{link}</td><td>{text(name or '')}</td><td>{shown_limit}</td>{''.join(cells)}</tr>"


def _standing(line: Line | None, name: str | None) -> str:
    if line is None:
        return ""
    if name is not None and name in line.figures:
        return f"{number(line.figures[name].mean)} {text(line.figures[name].unit)}".strip()
    statuses = {row["status"] for row in line.rows}
    said = "–" if statuses == {"done"} else text("/".join(sorted(statuses - {"done"})))
    return f'<span class="{"none" if said == "–" else "trouble"}">{said}</span>'


def _contest(contest: Contest) -> str:
    about = contest.about
    if "words" not in about:
        return paragraph(about["message"], "warning")
    size = (
        f"{about['particles']:,} particles of {about['box']} px at {about['pixel_size']:.3g} Å ({about['tier']} tier)"
    )
    parts = [paragraph(f"{about['words'][:1].upper()}{about['words'][1:]}.")]
    facts = [("particles", size), ("a program is", about["given"]), ("molecule", about["molecule"])]
    parts.append(facts_table([*facts, ("after", about["source"])]))
    parts += [_plot(contest, name) for name in contest.columns[:2]]
    parts.append(_times(contest))
    parts.append(_troubles(contest))
    parts.append(fold("All figures", _all_figures(contest)))
    parts.append(fold("How each figure is obtained", _explained(contest)))
    return "".join(parts)


def _plot(contest: Contest, name: str) -> str:
    rows = [_dots(line, line.figures[name].each) for line in contest.lines if name in line.figures]
    if not rows:
        return ""
    first = next(line.figures[name] for line in contest.lines if name in line.figures)
    low = 0.0 if first.better == "higher" and first.unit == "" else None
    return f"<figure>{dot_plot(rows, name, first.unit, contest.limit(name), low)}</figure>"


def _times(contest: Contest) -> str:
    lines = [line for line in contest.lines if line.done]
    rows = [_dots(line, [row["cost"]["wall_seconds"] for row in line.done]) for line in lines]
    return f"<figure>{bar_plot(rows, 'wall time of the whole program', 's')}</figure>" if rows else ""


def _dots(line: Line, values: Sequence[float]) -> Dots:
    return Dots(line.entrant, str(line.rows[0]["family"]), tuple(values))


def _troubles(contest: Contest) -> str:
    said = [f"{line.entrant}: {reason}" for line in contest.lines for reason in line.troubles]
    return f'<div class="warning"><h3>Not done</h3>{bullets(said)}</div>' if said else ""


def _all_figures(contest: Contest) -> str:
    header = ["entrant", "version", "done", *contest.columns, *(f"{name} ({unit})" for name, _, unit in COSTS)]
    body = []
    for line in contest.lines:
        figures = [shown(line.figures[name]) if name in line.figures else "" for name in contest.columns]
        costs = ["" if line.cost(key) is None else number(line.cost(key) or 0.0) for _, key, _ in COSTS]
        version = str(line.rows[0]["version"] or "absent")
        body.append([line.entrant, version, f"{len(line.done)} of {len(line.rows)}", *figures, *costs])
    limits = [contest.limit(name) for name in contest.columns]
    said = ["" if limit is None else number(limit) for limit in limits]
    body.append(["the images' own limit", "", "", *said, *("" for _ in COSTS)])
    return data_table(header, body)


def _explained(contest: Contest) -> str:
    known = {name: values.how for line in contest.lines for name, values in line.figures.items()}
    return facts_table([(name, known[name]) for name in contest.columns])


def _circumstances(rows: Sequence[Row]) -> str:
    header = ["problem", "entrant", "seed", "status", "commit", "machine", "wall s", "CPU s", "MiB", "finished"]
    body = [_circumstance(row) for row in rows]
    versions: dict[str, Any] = next((row["circumstances"]["versions"] for row in rows if "circumstances" in row), {})
    programs = {row["family"]: row["version"] for row in rows if not row["ours"]}
    facts = [(name, str(version)) for name, version in {**versions, **programs}.items()]
    return facts_table(facts) + fold("Every run", data_table(header, body))


def _circumstance(row: Row) -> list[object]:
    found, cost = row.get("circumstances", {}), row.get("cost", {})
    commit = str(found.get("commit", ""))[:10] + ("+" if found.get("uncommitted_changes") else "")
    machine = found.get("gpu") or found.get("processor", "")
    times = [cost.get(key, "") for _, key, _ in COSTS]
    return [
        row["problem"],
        row["entrant"],
        row["seed"],
        row["status"],
        commit,
        machine,
        *times,
        row.get("finished", ""),
    ]
