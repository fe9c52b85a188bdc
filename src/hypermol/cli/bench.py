"""hypermol bench"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from hypermol.cli.numbers import numbers
from hypermol.errors import ConfigError

SEEDS = 2**31


def epilogue() -> str:
    """Suites, problems and entrants, for the help."""
    from hypermol.benchmarks.entrants import ENTRANTS
    from hypermol.benchmarks.problem import PROBLEMS
    from hypermol.benchmarks.suite import NAMED

    suites = ", ".join(NAMED)
    problems = "\n".join(f"* **{name}**: {problem.words}" for name, problem in PROBLEMS.items())
    entrants = ", ".join(ENTRANTS)
    return (
        f"Suites: {suites}.\n\nProblems:\n\n{problems}\n\nEntrants: {entrants}, and any method of `hypermol methods`."
    )


def bench(
    suite: Annotated[str, Parameter(help="tiny, small or paper; or problems: hinge,linear1d.")],
    /,
    *,
    out: Annotated[Path, Parameter(name=["--out", "-o"], help="Where data, runs and results are kept.")] = Path(
        "bench"
    ),
    tier: Annotated[str, Parameter(help="Size of a list of problems: tiny, small or paper.")] = "small",
    entrants: Annotated[
        str, Parameter(help="Who takes part, instead of the suite's: cryodrgn,backprojection.", show_default=False)
    ] = "",
    seeds: Annotated[str, Parameter(help="Seeds, instead of the suite's: 0,2 or 0-4.", show_default=False)] = "",
    hide: Annotated[
        str, Parameter(help="What programs are not told: pose, shift, ctf (z never is).", show_default=False)
    ] = "",
    defocus_error: Annotated[float, Parameter(help="Standard deviation of the error in the stated defocus, µm.")] = 0.0,
    hours: Annotated[float, Parameter(help="The longest that one program may take; 0: no limit.")] = 0.0,
    again: Annotated[bool, Parameter(help="Run failed programs once more.", negative=(), show_default=False)] = False,
) -> None:
    """Methods and outside programs on problems with known answers: a table, a page, and every figure as JSON.

    Each program runs in a process of its own. What is done is kept: run again, it goes on where it was stopped.

    Example: `hypermol bench tiny -o bench`; `hypermol bench hinge --entrants cryodrgn,cryodrgn-train_vae --seeds 0,1`
    """
    from hypermol.benchmarks.cells import run_suite
    from hypermol.benchmarks.given import Given
    from hypermol.benchmarks.suite import find_suite
    from hypermol.benchmarks.tables import row_in_words
    from hypermol.cli.progress import duration
    from hypermol.cli.say import say

    if not hours >= 0:
        raise ConfigError(f"--hours {hours:g}: expected 0 (no limit) or more")
    given = Given.hiding(_words(hide), defocus_error)
    chosen = find_suite(suite, tier, _words(entrants), _seeds(seeds), given)
    say(f"{chosen.cells} runs: {len(chosen.races)} problems, {len(chosen.seeds)} seeds, {chosen.tier} tier")
    began = time.monotonic()
    rows: list[dict] = []

    def told(row: dict, done: int, total: int) -> None:
        rows.append(row)
        say(f"[{done}/{total}] {row_in_words(row)}")
        _write(rows, out, chosen.name)

    run_suite(chosen, out / chosen.tier, told, 3600 * hours, again)
    page = _write(rows, out, chosen.name)
    say(f"\n{duration(time.monotonic() - began)}; table: {page.with_suffix('.md')}; page: {page}")


def _write(rows: list[dict], out: Path, name: str) -> Path:
    from hypermol.benchmarks.circumstances import circumstances
    from hypermol.benchmarks.tables import markdown
    from hypermol.report.bench import write_benchmark_page
    from hypermol.runs import write_text

    stem = out / name.replace(",", "-")[:80]
    title = f"hypermol bench {name}"
    content = {"circumstances": circumstances(), "command": title, "rows": rows}
    write_text(stem.with_suffix(".json"), _as_json(content))
    write_text(stem.with_suffix(".md"), markdown(rows, title))
    return write_benchmark_page(rows, stem.with_suffix(".html"), title)


def _as_json(content: object) -> str:
    import json

    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def _words(text: str) -> tuple[str, ...]:
    return tuple(filter(None, (part.strip() for part in text.split(","))))


def _seeds(text: str) -> tuple[int, ...]:
    """``"0-2"`` → (0, 1, 2); empty where none are named."""
    return tuple(numbers(text, SEEDS, "seed").tolist()) if text.strip() else ()
