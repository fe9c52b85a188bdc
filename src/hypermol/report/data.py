"""What a report shows, as plain data: filled from a run folder, or by anyone from arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hypermol.landscape import Landscape
from hypermol.shapes import Float


@dataclass(frozen=True)
class MapSeries:
    """Maps [z, y, x] of one box and pixel size (Å), in order.

    ``name`` a short word (unique); ``captions`` one per map, or empty; ``coordinates`` [n, d] where they lie along
    the principal components of z, for a path; ``notes`` sentences; ``original_box`` (px) where larger maps were
    resampled to be shown; ``signed`` where they are changes of density, of which nothing is mid-grey.
    """

    name: str
    title: str
    maps: Sequence[Float[np.ndarray, "D D D"]]
    pixel_size: float
    captions: tuple[str, ...] = ()
    coordinates: Float[np.ndarray, "n d"] | None = None
    notes: tuple[str, ...] = ()
    original_box: int | None = None
    signed: bool = False

    @property
    def box(self) -> int:
        """Box size (px) of the maps as they were, before they were made smaller to be shown."""
        return self.original_box or np.asarray(self.maps[0]).shape[0]

    @property
    def width(self) -> float:
        """The field that the maps span, in Å."""
        return np.asarray(self.maps[0]).shape[0] * self.pixel_size

    def caption(self, index: int) -> str:
        """Words under map ``index``; its number where none were given."""
        return self.captions[index] if index < len(self.captions) else str(index)


@dataclass(frozen=True)
class LocalResolution:
    """Å at every voxel of a map (0: outside the mask, or nothing resolved), the map itself, and its Å per pixel."""

    angstrom: Float[np.ndarray, "D D D"]
    density: Float[np.ndarray, "D D D"]
    pixel_size: float


@dataclass(frozen=True)
class FscCurve:
    """Fourier shell correlation per shell: ``fsc`` [D/2], shell s at s / (D · pixel_size) 1/Å.

    ``threshold`` where it is read (0.143 between half maps, 0.5 against a truth; None: not at all);
    ``independence`` in words: what the two sides share ("half maps of shared poses"). ``resolution``: Å as the method
    read it (``metrics.json``); None: where the curve first falls below the threshold.
    """

    label: str
    fsc: Float[np.ndarray, " S"]
    pixel_size: float
    threshold: float | None = 0.143
    independence: str = ""
    resolution: float | None = None

    @property
    def width(self) -> float:
        """The field that the maps span, D · pixel_size, in Å."""
        return 2 * len(self.fsc) * self.pixel_size


@dataclass(frozen=True)
class Column:
    """A number per particle to colour the landscape by. ``cyclic``: an angle in degrees that wraps at 360."""

    label: str
    values: Float[np.ndarray, " N"]
    unit: str = ""
    cyclic: bool = False


@dataclass(frozen=True)
class Figure:
    """A figure of merit: what it is, its value in words with the unit, how it was obtained."""

    label: str
    value: str
    how: str = ""


@dataclass(frozen=True)
class ValidationShown:
    """What a half-set validation found.

    ``found`` as in validation.json (docs/validation.md); ``width`` Å, the field that all its curves span; ``run`` the
    folder, for sentences that name a command; ``changes`` the change of the map along the first real axis.
    """

    found: Mapping[str, Any]
    width: float
    run: str = "RUN"
    changes: MapSeries | None = None

    def curve(self, label: str, fsc: Sequence[float], independence: str = "") -> FscCurve:
        """One of its FSC curves, with the pixel size that its number of shells implies."""
        values = np.array([np.nan if value is None else value for value in fsc], dtype=float)
        return FscCurve(label, values, self.width / (2 * max(1, len(values))), 0.143, independence)


@dataclass(frozen=True)
class ReportData:
    """Everything a page shows; what is absent is left out of the page with a sentence.

    ``run`` the folder, for commands that name it; ``facts`` (name, value) rows of what was run; ``log`` rows of
    log.jsonl; ``estimates`` arrays of estimates.npz;
    ``micrograph`` and ``defocus`` (Å) per particle; ``maps`` consensus and half maps; ``states`` maps at cluster
    centres; ``motions`` maps along paths, the first shown first; ``matrices`` how alike every two maps of a family are,
    by name; ``local_resolution`` of the consensus map; ``validation`` what the halves of the data say of each
    other; ``settings`` the text of config.toml;
    ``absent`` sentences on what could not be shown and why; ``warnings`` sentences the reader must not miss.
    """

    title: str
    run: str = "RUN"
    summary: str = ""
    facts: tuple[tuple[str, str], ...] = ()
    figures: tuple[Figure, ...] = ()
    log: Sequence[Mapping[str, Any]] = ()
    estimates: Mapping[str, np.ndarray] = field(default_factory=dict)
    landscape: Landscape | None = None
    micrograph: np.ndarray | None = None
    defocus: Float[np.ndarray, " N"] | None = None
    columns: tuple[Column, ...] = ()
    maps: tuple[MapSeries, ...] = ()
    states: MapSeries | None = None
    motions: tuple[MapSeries, ...] = ()
    matrices: Mapping[str, Float[np.ndarray, "n n"]] = field(default_factory=dict)
    fsc: tuple[FscCurve, ...] = ()
    local_resolution: LocalResolution | None = None
    validation: ValidationShown | None = None
    warnings: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    settings: str = ""
    version: str = ""

    @property
    def particles(self) -> int:
        """Particles with an estimate (0 where there are none)."""
        for name in ("rotation", "z", "half", "log_likelihood"):
            if name in self.estimates:
                return len(self.estimates[name])
        return 0 if self.landscape is None else len(self.landscape.z)
