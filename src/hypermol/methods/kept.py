"""What is made of the present maps, kept until they change."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor


class Kept:
    """One list of tensors, made anew when asked about another tensor than the last time: Fourier grids of maps that
    stay the same for a whole pass."""

    def __init__(self) -> None:
        self._of: Tensor | None = None
        self._made: list[Tensor] = []

    def of(self, source: Tensor, make: Callable[[], list[Tensor]]) -> list[Tensor]:
        """``make()``, or what it gave before for this very ``source``."""
        if self._of is not source:
            self._of, self._made = source, make()
        return self._made
