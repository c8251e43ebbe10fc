"""The figure of trainings: loss, and beside it the error on held-out images."""

import shutil

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.legend import Legend

from bench.report import style
from bench.report.fig_training import draw_training, running_mean

UPDATES = np.arange(1, 9) * 75


@pytest.fixture
def drawn(run, tmp_path, monkeypatch):
    """Return what draws a copy of the smoke run, with some validation curves, and its panels."""
    monkeypatch.setattr(style, "save", lambda figure, folder, name: figure)
    folder = tmp_path / "run"
    shutil.copytree(run.folder, folder)

    def draw(curves, rows=run.rows) -> list[Axes]:
        for name, text in curves.items():
            (folder / f"train-{name}").mkdir(exist_ok=True)
            (folder / f"train-{name}/validation.csv").write_text(text)
        figure = draw_training(type(run)(run.manifest, rows, folder), tmp_path)
        return [axes for axes in figure.axes if axes.get_visible()] if figure else []

    return draw


def curve(start, header="update,low,middle,high"):
    lines = [f"{u},{start / u},{3 * start / u},{9 * start / u}" for u in UPDATES]
    return "\n".join([header, *lines]) + "\n"


def test_a_row_has_the_loss_and_the_error_in_three_thirds(drawn):
    curves = {"diffusion-unet": curve(1.0), "diffusion-cunet": curve(1.2), "dncnn": curve(0.5)}
    panels = drawn(curves)
    assert [axes.get_title(loc="left") for axes in panels] == [
        "digits: diffusion networks", "digits: held-out images",
        "digits: classic denoisers", "digits: held-out images",
    ]  # fmt: skip
    networks, classics = panels[1], panels[3]
    assert len(networks.lines) == 6 and len(classics.lines) == 3
    assert networks.get_yscale() == "log"
    assert networks.get_ylabel() == "mean squared error of one step"
    (named,) = [part for part in networks.artists if isinstance(part, Legend)]
    assert [text.get_text() for text in named.get_texts()] == ["U-Net", "cU-Net"]
    assert {line.get_color() for line in networks.lines} == {"#004488", "#BB5566"}
    assert len({str(line._dash_pattern) for line in networks.lines}) == 3
    lowest = min(networks.lines, key=lambda line: line.get_ydata()[-1])
    np.testing.assert_allclose(lowest.get_ydata(), 1.0 / UPDATES)


def test_the_thirds_are_named_by_their_dashes(drawn):
    panel = drawn({"diffusion-unet": curve(1.0)})[1]
    named = panel.get_legend()
    assert [text.get_text() for text in named.get_texts()] == [
        "high noise", "middle noise", "low noise",
    ]  # fmt: skip
    rising = sorted(panel.lines, key=lambda line: -line.get_ydata()[-1])
    patterns = [line._unscaled_dash_pattern for line in rising]
    assert [line._unscaled_dash_pattern for line in named.get_lines()] == patterns


@pytest.mark.parametrize(
    "bad", ["", "update,loss\n1,2\n", "update,low,middle,high\n5,x,1,1\n6,nan,1,1\n7,0,1,1\n"]
)
def test_a_run_without_validation_has_losses_alone(drawn, bad):
    panels = drawn({"diffusion-unet": bad} if bad else {})
    assert [axes.get_ylabel() for axes in panels] == ["training loss"] * 2


def test_generators_have_a_panel_of_their_own(drawn, run):
    rows = run.rows.copy()
    rows["generator"] = None
    chosen = (rows["task"] == "train") & (rows["denoiser"] == "conv-ae")
    rows.loc[chosen, "generator"] = "vae"
    rows.loc[chosen, "denoiser"] = None
    panels = drawn({"diffusion-unet": curve(1.0)}, rows)
    titles = [axes.get_title(loc="left") for axes in panels]
    assert titles[-1] == "digits: generators" and len(titles) == 4


def test_it_is_one_line_where_nothing_was_trained(empty, tmp_path):
    assert draw_training(empty, tmp_path) == "no training curves in this run"


@pytest.mark.parametrize("begun", [0, 10_000])
def test_the_axis_begins_where_the_training_did(drawn, tmp_path, begun):
    """One that goes on from a network with smaller images has no earlier points."""
    folder = tmp_path / "run" / "train-diffusion-unet"
    for path in folder.parent.glob("train-diffusion-*/curve.csv"):
        path.write_text(f"update,loss\n{begun + 1},0.5\n{begun + 600},0.1\n")
    lines = [f"{begun + update},0.3,0.2,0.1" for update in (150, 300, 450, 600)]
    text = "\n".join(["update,low,middle,high", *lines])
    panels = drawn({"diffusion-unet": text, "diffusion-cunet": text})
    assert panels[1].get_xlim()[0] == begun


def test_the_mean_is_of_the_losses_around_an_update_however_many_rows_there_are():
    """A training that went on: a row for every fiftieth update, then one for each."""
    updates = np.concatenate([np.arange(1, 10_000, 50), np.arange(10_000, 17_001)])
    falling = np.exp(-updates / 4000.0)
    mean = running_mean(updates, falling)
    np.testing.assert_allclose(mean[5:-200], falling[5:-200], rtol=0.05)
    assert mean[-1] == pytest.approx(falling[-341:].mean(), rel=1e-3)
    np.testing.assert_allclose(running_mean(np.array([7]), np.array([0.5])), [0.5])


def test_long_names_stand_in_their_panel(drawn, run):
    long = "cunet-no-attention-no-residual"
    names = {"unet": "cunet-no-residual", "cunet": long}
    rows = run.rows.assign(backbone=run.rows["backbone"].replace(names))
    panel = drawn({"diffusion-unet": curve(1.0), "diffusion-cunet": curve(1.2)}, rows)[1]
    (named,) = [part for part in panel.artists if isinstance(part, Legend)]
    style.place(panel.get_figure())
    inside, box = named.get_window_extent(), panel.get_window_extent()
    assert box.x0 <= inside.x0 and inside.x1 <= box.x1


def test_of_several_trainings_of_a_denoiser_the_one_for_all_levels_is_drawn(drawn, run, tmp_path):
    rows = run.rows.assign(levels=None)
    (one,) = rows[(rows["task"] == "train") & (rows["denoiser"] == "dncnn")].to_dict("records")
    rows.loc[rows["key"] == one["key"], "levels"] = "50-400"
    more = [{**one, "key": f"train-dncnn-{t}", "levels": str(t)} for t in (50, 100)]
    folder = tmp_path / "run"
    for other in more:
        (folder / other["key"]).mkdir(parents=True)
        (folder / other["key"] / "curve.csv").write_text("update,loss\n1,0.9\n2,0.8\n")
    panels = drawn({}, pd.concat([pd.DataFrame(more), rows]))
    said = [text.get_text() for axes in panels for text in axes.texts]
    assert sum("one of 3 trainings of each" in text for text in said) == 1
    assert max(line.get_xdata()[-1] for line in panels[1].lines) > 2
