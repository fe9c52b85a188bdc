"""Bad batches: recognised, skipped, counted; a run that cannot go on stops at its last good state."""

from __future__ import annotations

import statistics

from hypermol.engine.contracts import Step, Totals, all_finite
from hypermol.engine.state import State
from hypermol.errors import ConvergenceError

FACTOR = 100.0  # an update this many times the running median is taken for a fault
REMEMBERED = 101
FEWEST = 10  # norms before the median is trusted
GIVE_UP_AFTER = 50  # skipped updates in a row


def reason_to_skip(step: Step, totals: Totals, state: State, place: int) -> str | None:
    """A sentence when the update should be skipped, else None.

    Keeps the norms behind the running median in ``state.data``, for each step of the phase (its ``place``) its own.
    """
    if step.norm is None:
        return None
    norm = float(step.norm(totals))
    if not norm < float("inf"):
        return f"its gradient norm is {norm}"
    recent = state.data.setdefault("gradient_norms", {}).setdefault(str(place), [])
    if len(recent) >= FEWEST and norm > FACTOR * statistics.median(recent):
        return f"its gradient norm {norm:.3g} exceeds {FACTOR:.0f} × the running median {statistics.median(recent):.3g}"
    recent.append(norm)
    del recent[:-REMEMBERED]
    return None


def forget(state: State) -> None:
    """The norms of one phase say nothing of the next."""
    state.data.pop("gradient_norms", None)


def count_skip(state: State) -> None:
    """Count a skipped update. Raises ConvergenceError after too many in a row."""
    state.data["skipped"] = state.data.get("skipped", 0) + 1
    state.data["skipped_in_a_row"] = state.data.get("skipped_in_a_row", 0) + 1
    if state.data["skipped_in_a_row"] >= GIVE_UP_AFTER:
        raise ConvergenceError(
            f"{GIVE_UP_AFTER} updates in a row were not usable (NaN, or far too large), so the run was stopped at its "
            "last good state; lower the learning rate, or look the images over with `hypermol check`"
        )


def count_success(state: State) -> None:
    """An update went through: the row of skips is over."""
    state.data["skipped_in_a_row"] = 0


def require_finite(state: State) -> None:
    """Raise ConvergenceError when a parameter is NaN or infinite: such a state is never saved."""
    for name, tensor in state.tensors.items():
        if not all_finite([tensor]):
            raise ConvergenceError(
                f"{name} is no longer finite after {state.clock.updates} updates; the run was stopped and its last "
                "good checkpoint kept; lower the learning rate"
            )
