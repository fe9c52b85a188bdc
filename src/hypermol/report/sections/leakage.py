"""What z knows besides shape."""

from __future__ import annotations

from hypermol.report.data import ReportData
from hypermol.report.markup import Section, bullets, data_table, fold, text

MARKS = {"none": ("ok", "clean"), "slight": ("slight", "slight"), "clear": ("bad", "leaks")}


def leakage_section(data: ReportData) -> Section | None:
    """One sentence per quantity, and the figures behind them."""
    if data.landscape is None:
        return None
    landscape = data.landscape
    rows = "".join(
        f'<li><span class="mark {MARKS[item.verdict][0]}">{MARKS[item.verdict][1]}</span>'
        f"<span>{text(item.sentence)}</span></li>"
        for item in landscape.leakage
    )
    header = ("Quantity", "R²", "± (folds)", "By chance", "± (permutations)", "Particles", "Information", "By chance")
    figures = data_table(
        header,
        [
            (
                item.target,
                *(f"{x:.3f}" for x in (item.score, item.error, item.chance, item.chance_spread)),
                f"{item.particles:,}",
                *("—" if x is None else f"{x:.2f} nats" for x in (item.nats, item.nats_chance)),
            )
            for item in landscape.leakage
        ],
    )
    lead = (
        "<p>z should describe the shape of the molecule only. If it can be used to guess how a particle was imaged, "
        "a part of the landscape is not motion.</p>"
    )
    listed = f'<ul class="verdicts">{rows}</ul>{fold("The figures", figures)}' if rows else ""
    notes = bullets(landscape.leakage_notes, "quiet")
    if not (listed or notes):
        return None
    return Section("leakage", "What z knows besides shape", lead + listed + notes, short="Leakage")
