"""The page of a benchmark: one self-contained HTML file, without scripts."""

from hypermol.report.bench.page import render_benchmark, write_benchmark_page
