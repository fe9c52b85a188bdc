"""One self-contained HTML page per run, and the figures in it."""

from hypermol.report.data import Column, Figure, FscCurve, MapSeries, ReportData, ValidationShown
from hypermol.report.from_run import report_of, report_run
from hypermol.report.page import render, write_report
