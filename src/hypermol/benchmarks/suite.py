"""A benchmark: which entrants meet on which problems, at which size, with which seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hypermol.benchmarks.entrants import ENTRANTS, find_entrant
from hypermol.benchmarks.given import Given
from hypermol.benchmarks.problem import PROBLEMS, TIERS, find_problem
from hypermol.errors import ConfigError

OURS_TINY = ("backprojection", "cryodrgn-on-consensus")
FAST = ("backprojection", "auto")
OURS = ("backprojection", "auto", "cryodrgn", "oracle")
PEER, PEERS = ("cryodrgn-train_vae",), ("cryodrgn-backproject_voxel", "cryodrgn-train_vae")


@dataclass(frozen=True)
class Race:
    """One problem and those who take part in it; ``once``: those who do with the first seed alone."""

    problem: str
    entrants: tuple[str, ...]
    once: tuple[str, ...] = ()


@dataclass(frozen=True)
class Suite:
    """Races at one size; every entrant of a race meets the same particles, seed by seed, in one run."""

    name: str
    tier: str
    races: tuple[Race, ...]
    seeds: tuple[int, ...]
    given: Given = Given()  # noqa: RUF009 (frozen)

    @property
    def cells(self) -> int:
        """How many times a program is run."""
        return sum(len(self.entrants(race, seed)) for seed in self.seeds for race in self.races)

    def entrants(self, race: Race, seed: int) -> tuple[str, ...]:
        """Who takes part in a race with this seed."""
        return race.entrants + (race.once if seed == self.seeds[0] else ())


def _tiny() -> Suite:
    races = tuple(Race(name, OURS_TINY) for name in PROBLEMS if name != "hinge")
    return Suite("tiny", "tiny", (Race("hinge", (*OURS, "cryodrgn-on-consensus", "autodecoder", *PEERS)), *races), (0,))


def _small() -> Suite:
    """Estimated for two cores in docs/benchmarks.md: under two hours with room to spare."""
    return Suite(
        "small",
        "small",
        (
            Race("hinge", OURS, PEERS),
            Race("linear1d", OURS[:-1], PEERS),
            Race("circular1d", FAST, PEER),
            Race("discrete10", FAST, PEER),
            Race("igg-1d", FAST, PEER),
            Race("homogeneous", FAST, PEERS[:1]),
            Race("ribosome-90-10", FAST),
            Race("junk-and-rare", FAST),
            Race("preferred-views", FAST),
            Race("uneven-contrast", FAST),
        ),
        (0, 1, 2),
    )


def _paper() -> Suite:
    return Suite("paper", "paper", tuple(Race(name, tuple(ENTRANTS)) for name in PROBLEMS), (0, 1, 2))


NAMED = {"tiny": _tiny, "small": _small, "paper": _paper}
"""Suites by name."""


def find_suite(
    text: str,
    tier: str = "small",
    entrants: Sequence[str] = (),
    seeds: Sequence[int] = (),
    given: Given | None = None,
) -> Suite:
    """The suite called ``text``, or a list of problems "hinge,linear1d" at ``tier``; entrants and seeds where they are
    to be others than the suite's own (of a list: all of ours that a small suite has, seed 0).

    Raises ConfigError for names that are not known, before anything is run.
    """
    if text in NAMED:
        suite = NAMED[text]()
    else:
        if tier not in TIERS:
            raise ConfigError(f"unknown tier {tier!r}; known: {', '.join(TIERS)}")
        names = tuple(filter(None, (part.strip() for part in text.split(","))))
        if not names:
            raise ConfigError(f"which suite? {', '.join(NAMED)}, or problems: {', '.join(PROBLEMS)}")
        suite = Suite(",".join(names), tier, tuple(Race(name, OURS) for name in names), (0,))
    races = tuple(Race(race.problem, tuple(entrants)) for race in suite.races) if entrants else suite.races
    if any(seed < 0 for seed in seeds):
        raise ConfigError("seeds are whole numbers of 0 or more")
    for race in races:
        find_problem(race.problem)
        for name in (*race.entrants, *race.once):
            find_entrant(name)
    return Suite(suite.name, suite.tier, races, tuple(seeds) or suite.seeds, given or suite.given)
