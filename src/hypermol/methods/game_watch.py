"""Whether a game goes on well: running figures of it, and the reasons to call it lost."""

from __future__ import annotations

import dataclasses
from typing import Any

MEMORY = 0.98
"""Of the running means, per update of the maker: about the last fifty."""
WARM_UP = 100
"""Updates of the maker before figures are judged, of a game and after each change of critic: a good game may go away
from the data at first, by a fifth in those seen."""
STEEPEST = 5.0
WORSE = 2.0


def fresh(attempt: int) -> dict[str, Any]:
    """What is known at the beginning: plain data, part of the state. ``turn``: updates of the maker so far; ``judged``:
    those with the present critic."""
    return {"attempt": attempt, "turn": 0, "judged": 0, "gap": 0.0, "slope": 1.0, "apart": 0.0, "least_apart": 0.0}


def noted(game: dict[str, Any], **figures: float) -> dict[str, Any]:
    """The game with running means moved by new figures."""
    kept = MEMORY if game["judged"] else 0.0
    return {**game, **{name: kept * game[name] + (1 - kept) * value for name, value in figures.items()}}


def judged_anew(game: dict[str, Any]) -> dict[str, Any]:
    """The same game before a new critic: its figures begin again."""
    return {**fresh(game["attempt"]), "turn": game["turn"]}


def after_turn(game: dict[str, Any]) -> dict[str, Any]:
    """The game one update of the maker later, with the least distance that it has had."""
    judged = game["judged"] + 1
    least = game["apart"] if judged == 1 else min(game["least_apart"], game["apart"])
    return {**game, "turn": game["turn"] + 1, "judged": judged, "least_apart": least}


@dataclasses.dataclass(frozen=True)
class Watch:
    """worse: how many times its least the running distance of real and made images may be; steepest: mean slope of the
    critic that its penalty may let pass, at best 1."""

    worse: float = WORSE
    steepest: float = STEEPEST

    def fault(self, game: dict[str, Any]) -> str | None:
        """Why this game is lost, in words; None while it is not."""
        if game["judged"] <= WARM_UP:
            return None
        if game["slope"] > self.steepest:
            return f"the critic's slope is {game['slope']:.3g} and not 1: the penalty has lost hold of it"
        if game["apart"] > self.worse * game["least_apart"]:
            return (
                f"made images are {game['apart']:.3g} from real ones (sliced Wasserstein distance), and were "
                f"{game['least_apart']:.3g} before"
            )
        return None
