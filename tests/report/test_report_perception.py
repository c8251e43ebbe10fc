"""Perception against distortion: the hull, the points, and the figures."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from PIL.ImageSequence import Iterator

from bench.report import perception as q
from bench.report import restoration as r
from bench.report import style
from bench.report.fig_movie import draw_movie
from bench.report.fig_perception import draw_levels, draw_overview
from bench.report.fig_steps import draw_lpips_steps
from bench.report.hull import envelope, lower_hull
from bench.report.page import reduced

NUMBERS = st.floats(-100, 100, allow_nan=False).map(lambda value: round(value, 3))
POINTS = st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=30)
BLOCK = r.Block("digits", "sigmoid", "current")


# ------------------------------------------------------------------ the hull


@given(POINTS)
def test_the_hull_lies_below_all_points_and_touches_its_own(points):
    heights = envelope(points, [x for x, _ in points])
    assert (heights <= np.array([y for _, y in points]) + 1e-9).all()
    corners = [points[i] for i in lower_hull(points)]
    assert envelope(points, [x for x, _ in corners]) == pytest.approx([y for _, y in corners])
    assert corners[0] == min(points)
    assert corners[-1] == min(points, key=lambda point: point[::-1])


@given(POINTS)
def test_the_hull_is_convex_and_never_rises(points):
    corners = np.array([points[i] for i in lower_hull(points)])
    steps = np.diff(corners, axis=0)
    assert (steps[:, 0] > 0).all() and (steps[:, 1] < 0).all()
    slopes = steps[:, 1] / steps[:, 0]
    assert (np.diff(slopes) > 0).all()


@given(POINTS, st.permutations(range(30)))
def test_the_hull_does_not_depend_on_the_order_of_points(points, order):
    shuffled = [points[i] for i in order if i < len(points)]
    found, again = ({p[i] for i in lower_hull(p)} for p in (points, shuffled))
    assert found == again


def test_no_points_bound_nothing():
    assert lower_hull([]) == []
    assert envelope([], [1.0]).tolist() == [np.inf]
    assert envelope([(1, 2), (3, 1)], [0, 2, 9]).tolist() == [np.inf, 1.5, 1]


# ------------------------------------------------------------------ points


def test_points_carry_the_distance_of_the_same_set(run):
    found = q.points(run, BLOCK)
    here = found[(found["name"] == "unet") & (found["t"] == 150)]
    between = here[here["kind"] == q.COMBINATION].set_index("order")
    assert between["kid"].to_dict() == pytest.approx({s / 4: 0.1 * s / 4 for s in range(5)})
    path = here[here["kind"] == q.PATH].set_index("order")
    assert path["kid"].dropna().to_dict() == pytest.approx({0: 0.2, 7: 0.2 / 8})
    classics = found[(found["kind"] == q.CLASSIC) & (found["t"] == 50)]
    assert len(classics) == classics["name"].nunique() == 5
    assert classics["kid"].notna().all()
    scored = r.within(r.restored(run, "combination"), BLOCK)
    mine = scored[(scored["backbone"] == "unet") & (scored["t"] == 150)]
    assert between["loss"].tolist() == pytest.approx((1 - mine["ssim"]).tolist())


def test_points_of_a_run_without_distances_are_still_there(changed):
    bare = changed(lambda rows: rows[rows["task"] != "perception"])
    found = q.points(bare, BLOCK)
    assert len(found) == len(q.points(changed(lambda rows: rows), BLOCK))
    assert found["kid"].isna().all()


# ------------------------------------------------------------------ figures


def test_missing_rows_are_told(empty, changed, tmp_path):
    assert draw_overview(empty, tmp_path) == "no restorations in this run"
    bare = changed(lambda rows: rows[rows["task"] != "perception"])
    assert "run figures" in draw_levels(bare, tmp_path)
    no_lpips = changed(lambda rows: rows.assign(lpips=np.nan))
    assert draw_lpips_steps(no_lpips, tmp_path) == "no restoration has LPIPS at every step"
    assert draw_overview(no_lpips, tmp_path) == "no restoration has both SSIM and LPIPS"


@pytest.mark.parametrize("levels", [1, 2, 3, 5])
def test_all_that_is_written_lies_inside(levels, run, changed, tmp_path, monkeypatch):
    saved = []
    monkeypatch.setattr(style, "save", lambda figure, *_: saved.append(figure) or [])
    first = r.restored(run, "best")["t"].min()

    def repeated(rows: pd.DataFrame) -> pd.DataFrame:
        one = rows[rows["t"].isna() | (rows["t"] == first)]
        more = [one[one["t"].notna()].assign(t=first + number) for number in range(1, levels)]
        return pd.concat([one, *more])

    draw_overview(changed(repeated), tmp_path)
    (figure,) = saved
    assert sum(axes.get_visible() for axes in figure.axes) == levels
    box, edge = figure.get_tightbbox(), 0.01
    assert box.x0 > -edge and box.y0 > -edge
    assert box.x1 < figure.get_figwidth() + edge and box.y1 < figure.get_figheight() + edge


def test_networks_alone_and_frechet_in_the_lead_are_drawn(changed, tmp_path):
    def few(rows: pd.DataFrame) -> pd.DataFrame:
        classic = rows["task"].isin(["denoise", "perception"])
        classic &= ~rows["denoiser"].astype(str).str.startswith("diffusion:")
        return rows[~classic & rows["t"].isin([50])].assign(leads="frechet")

    figures = draw_levels(changed(few), tmp_path)
    assert list(figures) == ["t = 50"]


def test_the_film_moves_in_one_palette_and_ends_restored(run, tmp_path):
    (path,) = draw_movie(run, tmp_path)
    with Image.open(path) as film:
        assert film.is_animated and film.n_frames == 8 + 1, "the frames and the still picture"
        assert film.mode == "P"
        frames = [np.asarray(one.convert("RGB"), dtype=float) for one in Iterator(film)]
    still, first, *_, last = frames
    assert np.abs(still - last).max() == 0
    assert np.abs(first - last).mean() > 1
    content = path.read_bytes()
    assert reduced(content, 0.2) == content, "a smaller one would stand still"
    again = draw_movie(run, tmp_path / "again")[0]
    assert again.read_bytes() == content
