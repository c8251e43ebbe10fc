"""What stands on an axis is read by people: no markup is left in a drawn label."""

import pytest
from matplotlib.figure import Figure

from bench.report import style


@style.styled
def labels(low: float, high: float) -> list[str]:
    figure = Figure()
    axes = figure.subplots()
    axes.plot([1, 2], [low, high])
    style.log_axis(axes)
    figure.draw_without_rendering()
    return [tick.get_text() for tick in axes.yaxis.get_ticklabels(which="both")]


@pytest.mark.parametrize(("low", "high"), [(0.3, 6), (1e-4, 1), (9, 300)])
def test_logarithmic_axes_have_plain_numbers(low, high):
    drawn = [text for text in labels(low, high) if text]
    assert drawn and all(float(text) > 0 for text in drawn)
