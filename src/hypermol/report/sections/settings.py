"""Everything that was asked, for the record."""

from __future__ import annotations

from hypermol.report.data import ReportData
from hypermol.report.markup import Section, fold, text


def settings_section(data: ReportData) -> Section | None:
    """The configuration file, folded."""
    if not data.settings:
        return None
    body = fold("config.toml", f'<pre class="config">{text(data.settings)}</pre>')
    return Section("settings", "Settings", body)
