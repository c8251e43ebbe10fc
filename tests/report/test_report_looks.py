"""Figures with many networks: who is who, and that there is room."""

import itertools

import pandas as pd
import pytest

from bench.api import Kind
from bench.registry import names
from bench.report import style
from bench.report.fig_distance import draw_distance
from bench.report.fig_perception import draw_levels, draw_overview
from bench.report.fig_steps import draw_ssim_steps

ABLATIONS = (
    "cunet", "cunet-no-attention", "cunet-no-residual", "cunet-no-attention-no-residual",
    "cunet-no-skip",
)  # fmt: skip
CONTROLS = ("unet", "cunet", "unet-2.9g", "unet-8.8m", "discrete-tied", "discrete-untied")


def test_no_two_networks_look_alike():
    methods = [name for name in names(Kind.DENOISER) if not name.startswith("diffusion:")]
    looks = {name: style.look(name) for name in [*names(Kind.BACKBONE), *methods]}
    for one, other in itertools.combinations(looks, 2):
        alike = [getattr(looks[one], part) for part in ("colour", "dash", "marker")]
        assert alike != [getattr(looks[other], part) for part in ("colour", "dash", "marker")], (
            one, other
        )  # fmt: skip


@pytest.mark.parametrize("together", [ABLATIONS, CONTROLS])
def test_networks_that_are_drawn_together_have_colours_and_marks_of_their_own(together):
    for part in ("colour", "marker"):
        assert len({getattr(style.look(name), part) for name in together}) == len(together)


@pytest.fixture
def saved(monkeypatch):
    """Return the figures that would have been written."""
    figures = []
    monkeypatch.setattr(style, "save", lambda figure, *_: figures.append(figure) or [])
    return figures


@pytest.fixture
def of_ablations(changed):
    """Return a run that restores with the five networks of the ablation."""

    def repeated(rows: pd.DataFrame) -> pd.DataFrame:
        one = rows[rows["denoiser"] == "diffusion:cunet"]
        more = [one.assign(denoiser=f"diffusion:{name}") for name in ABLATIONS if name != "cunet"]
        return pd.concat([rows, *more])

    return changed(repeated)


def texts(figure):
    return {text.get_text() for legend in figure.legends for text in legend.get_texts()}


def test_panels_keep_their_width_beside_long_names(of_ablations, run, saved, tmp_path):
    for one in (run, of_ablations):
        draw_ssim_steps(one, tmp_path)
    short, long = saved
    for figure in saved:
        wide = figure.get_figwidth()
        assert all(axes.get_position().width * wide > 1 for axes in figure.axes)
    assert texts(short) == {"current sample", "predicted image"}
    assert texts(long) > {"cunet-no-attention-no-residual", "cU-Net", "U-Net"}
    assert not [text for axes in long.axes for text in axes.texts if "cunet" in text.get_text()]


@pytest.mark.parametrize("draw", [draw_overview, draw_levels])
def test_many_networks_are_named_below_the_panels(draw, of_ablations, run, saved, tmp_path):
    draw(of_ablations, tmp_path)
    many = list(saved)
    saved.clear()
    draw(run, tmp_path)
    for figure, few in zip(many, saved, strict=True):
        assert texts(figure) >= {"cunet-no-attention-no-residual", "cU-Net", "U-Net"}
        assert not few.legends
        figure.draw_without_rendering()
        for old, new in zip(few.axes, figure.axes, strict=True):
            heights = [one.get_position().height * one.get_figure().get_figheight()
                       for one in (old, new)]  # fmt: skip
            assert heights[0] == pytest.approx(heights[1], rel=1e-6)
        (legend,) = figure.legends
        assert legend.get_window_extent().y1 <= min(
            axes.xaxis.label.get_window_extent().y0 for axes in figure.axes
        )


def test_one_number_of_steps_has_its_interval(changed, saved, tmp_path):
    one = changed(lambda rows: rows[rows["steps"].isna() | (rows["steps"] == rows["steps"].max())])
    draw_distance(one, tmp_path)
    (figure,) = saved
    bars = [line for line in figure.axes[0].lines if line.get_marker() == "_"]
    assert bars and all(
        low <= high and low != high for low, high in (bar.get_ydata() for bar in bars)
    )
