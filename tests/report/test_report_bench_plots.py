"""Axes of the benchmark's plots, wherever the values lie."""

import re

import pytest

from hypermol.report.bench.plots import Dots, dot_plot


@pytest.mark.parametrize("values", [(-0.5, -0.4), (0.0,), (-3.0,), (0.2, 0.9), (-5.0, 0.9), (12.0, 12.0)])
@pytest.mark.parametrize("low", [None, 0.0])
@pytest.mark.parametrize("limit", [None, 0.95])
def test_every_value_is_drawn_inside(values, low, limit):
    drawn = dot_plot([Dots("one", "ours", values)], "gain", "", limit, low)
    ticks = re.findall(r'class="tick" x="([\d.]+)"', drawn)
    assert len(ticks) >= 2
    width = float(re.search(r'viewBox="0 0 ([\d.]+)', drawn)[1])
    assert all(0 <= float(x) <= width for x in (*ticks, *re.findall(r'cx="([\d.]+)"', drawn)))


def test_values_below_nothing_keep_their_order():
    drawn = dot_plot([Dots("one", "ours", (-0.5,)), Dots("two", "relion", (-0.1,))], "gain", "", None, 0.0)
    first, second = (float(x) for x in re.findall(r'cx="([\d.]+)"', drawn))
    assert first < second
