"""A map to begin with, its axes of symmetry where the group's are: a found map lies anywhere."""

from __future__ import annotations

import torch
from torch import Tensor

from hypermol.errors import ConfigError
from hypermol.imaging import symmetry_rotations
from hypermol.maps import find_symmetry_axes, symmetry_agreement, transform_map
from hypermol.shapes import Float

BETTER = 0.1
"""Mean FSC with its copies by which a map must agree better elsewhere before it is moved there."""
SYMMETRIC, CERTAIN = 0.75, 0.95
"""Below the first, nothing is said for the group: maps of molecules without symmetry reach 0.4 to 0.5 on 12 shells and
0.5 to 0.7 on 8, each group placed as well as can be. From the second on its axes need not be looked for."""
MOST_SHELLS = 16


def on_axes(map_: Float[Tensor, "d d d"], symmetry: str, band: int, fixed: str = "") -> tuple[Tensor, list[str]]:
    """The map averaged over the group, moved first where its axes are elsewhere, and what is to be said.

    band: shells of the map that can be trusted. fixed: why it must not be moved, if so. Raises ConfigError where it
    would have to be beyond doubt.
    """
    band, words = min(band, MOST_SHELLS), list[str]()
    agreement = symmetry_agreement(map_, symmetry, band)
    if agreement < CERTAIN:
        found = find_symmetry_axes(map_, symmetry, band)
        moved = found.agreement > agreement + BETTER
        if moved and fixed and found.agreement >= SYMMETRIC:
            raise ConfigError(
                f"the map to begin with has its axes of {symmetry} elsewhere than RELION puts them: it agrees with its "
                f"turned copies to FSC {agreement:.2f} (mean of {band} shells), and to {found.agreement:.2f} once "
                f"moved, but it must stay where it is because of {fixed}"
            )
        if moved and not fixed:
            map_, agreement = found.place(map_), found.agreement
            words.append(f"the map to begin with was moved: its axes of {symmetry} are now where RELION puts them")
    if agreement < SYMMETRIC:
        words.append(
            f"with its copies turned by {symmetry} the map to begin with agrees to FSC {agreement:.2f} (mean of {band} "
            "shells), as noisy maps and maps without that symmetry do alike: see whether a run with symmetry = C1 is "
            "resolved less far"
        )
    still = torch.zeros(3)
    return torch.stack([transform_map(map_, turn, still) for turn in symmetry_rotations(symmetry)]).mean(0), words
