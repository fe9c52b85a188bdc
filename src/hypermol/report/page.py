"""The page: sections in one HTML file with its style and scripts inside, so that it opens anywhere, offline."""

from __future__ import annotations

import functools
from importlib import resources
from pathlib import Path

from hypermol.atomic import write_text
from hypermol.report.data import ReportData
from hypermol.report.markup import Section, json_script, text
from hypermol.report.sections import SECTIONS

SCRIPTS = ("base.js", "surface.js", "stage.js", "motion.js", "charts.js", "scatter.js", "page.js")
# a blank icon: without one, browsers ask the (absent) server for it
ICON = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg'/%3E"


def write_report(data: ReportData, path: Path) -> Path:
    """Write the page for ``data`` to ``path``, whole or not at all; returns the path."""
    write_text(Path(path), render(data))
    return Path(path)


def render(data: ReportData) -> str:
    """The whole page as text."""
    sections = [section for section in (build(data) for build in SECTIONS) if section is not None]
    contents = {section.anchor: section.data for section in sections if section.data}
    plots = any("charts" in part for part in contents.values()) or "landscape" in contents
    scripts = [asset(name) for name in SCRIPTS]
    if plots:
        scripts.insert(0, _plotly())
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>{text(data.title)} – hypermol report</title><link rel="icon" href="{ICON}">'
        f"<style>{asset('report.css')}</style></head><body>"
        f"{_top(data, sections)}<main>{''.join(map(_section, sections))}</main>{_foot(data)}"
        f"{json_script('report-data', contents)}"
        f"{''.join(f'<script>{_inline(script)}</script>' for script in scripts)}</body></html>\n"
    )


@functools.cache
def asset(name: str) -> str:
    """A file of the room's assets."""
    return (resources.files("hypermol.report") / "assets" / name).read_text(encoding="utf-8")


@functools.cache
def _plotly() -> str:
    from plotly.offline import get_plotlyjs

    return get_plotlyjs()


def _inline(script: str) -> str:
    # a closing tag inside a string literal would end the element
    return script.replace("</script", "<\\/script")


def _top(data: ReportData, sections: list[Section]) -> str:
    links = "".join(f'<a href="#{section.anchor}">{text(section.short or section.title)}</a>' for section in sections)
    return (
        f'<header><div class="inner"><p class="brand">hypermol</p><h1>{text(data.title)}</h1></div></header>'
        f'<nav aria-label="Sections"><div class="inner">{links}</div></nav>'
    )


def _section(section: Section) -> str:
    return f'<section id="{section.anchor}"><h2>{text(section.title)}</h2>{section.body}</section>'


def _foot(data: ReportData) -> str:
    version = f" {data.version}" if data.version else ""
    words = f"Made by hypermol{version}. Particles, clusters and passes are numbered from 0 unless said otherwise."
    return f'<footer><div class="inner">{text(words)}</div></footer>'
