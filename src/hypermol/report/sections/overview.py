"""What was run and what came out, first in one sentence; then warnings; then key facts."""

from __future__ import annotations

from hypermol.conformations import SEPARATE
from hypermol.report.data import ReportData
from hypermol.report.markup import Section, bullets, data_table, facts_table, fold, paragraph, percent, text

CARDS = 6


def overview_section(data: ReportData) -> Section:
    """The opening of the page."""
    parts = [paragraph(data.summary or summary_sentence(data), "lead"), _verdict(data), _warnings(data), _figures(data)]
    parts.append(facts_table(data.facts))
    if data.absent:
        parts.append(f"<h3>Not in this report</h3>{bullets(data.absent, 'quiet')}")
    return Section("overview", "Overview", "".join(parts))


def summary_sentence(data: ReportData) -> str:
    """What the run found, in a sentence or two, from the data alone."""
    count, landscape = data.particles, data.landscape
    whom = f"{count:,} particles" if count else "the particles"
    if landscape is None:
        return f"{data.title}: reconstructed from {whom}." if data.maps else f"{data.title}: {whom}."
    dimensions = landscape.z.shape[1]
    known = int(landscape.clusters.size.sum())
    if landscape.clusters.of_classes:
        shares = ", ".join(percent(size / known) for size in landscape.clusters.size)
        return f"{known:,} particles were sorted into {landscape.clusters.count} classes, of {shares}."
    if not landscape.components.ratio.any():
        return f"{known:,} particles share one conformation: the model found no heterogeneity."
    share = percent(landscape.components.ratio[0])
    space = "one dimension" if dimensions == 1 else f"{dimensions} dimensions"
    spread = "" if dimensions == 1 else f"; the first principal component holds {share} of its variance"
    density = landscape.density
    form = f"They form {density.count} separate groups" if density.separate else "They form one continuum"
    if density.considered < SEPARATE:
        form = "They are too few to tell separate groups from a continuum"
    return f"{known:,} particles were placed in a landscape of {space}{spread}. {form}."


def _warnings(data: ReportData) -> str:
    found = [*data.warnings, *(data.landscape.warnings if data.landscape else ())]
    found = list(dict.fromkeys(found))
    if not found:
        return ""
    head = "1 warning" if len(found) == 1 else f"{len(found)} warnings"
    return f'<div class="warning" role="note"><h3>{head}</h3>{bullets(found)}</div>'


def _verdict(data: ReportData) -> str:
    """The first sentence of a validation, where there was one."""
    if data.validation is None or not data.validation.found.get("verdict"):
        return ""
    return paragraph(f"Validated on the two halves of the data: {data.validation.found['verdict'][0]}")


def _figures(data: ReportData) -> str:
    if not data.figures:
        return ""
    cards = "".join(
        f'<div class="figure-card"><div class="value">{text(figure.value)}</div>'
        f'<div class="label">{text(figure.label)}</div><div class="how">{text(figure.how)}</div></div>'
        for figure in data.figures[:CARDS]
    )
    rest = data_table(("Figure", "Value", "How"), [(f.label, f.value, f.how) for f in data.figures[CARDS:]])
    more = fold(f"{len(data.figures) - CARDS} more figures", rest) if len(data.figures) > CARDS else ""
    return f'<div class="figure-cards">{cards}</div>{more}'
