"""A synthetic run, written once per session; tests that change it work on a copy."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest

# Tests are not packages (they would shadow ours), so a helper beside them needs its folder here.
sys.path.insert(0, str(Path(__file__).parent))
from report_builder import FakeRun
from report_synthetic import synthetic_run

from bench.report import drawing, style
from bench.report.fig_cost import draw_latency
from bench.report.fig_distance import draw_distance
from bench.report.fig_restore import draw_noise

DOTS, SHARP = 80, style.RC["savefig.dpi"]
"""Per inch, of pictures that nobody looks at, and of those of a report."""


@pytest.fixture(scope="session", autouse=True)
def _small_pictures() -> Iterator[None]:
    """Draw small: what is drawn does not depend on it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(style.RC, "savefig.dpi", DOTS)
        yield


@pytest.fixture
def sharp(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw as for a report."""
    monkeypatch.setitem(style.RC, "savefig.dpi", SHARP)


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> FakeRun:
    """Return a complete smoke run."""
    return synthetic_run(tmp_path_factory.mktemp("smoke"))


@pytest.fixture(scope="session")
def paper_run(tmp_path_factory: pytest.TempPathFactory) -> FakeRun:
    """Return a run under the paper's conditions as far as rows can tell."""
    folder = tmp_path_factory.mktemp("paper")
    made = synthetic_run(folder, dataset="celeba", budget="paper", n=30_000, channels=3)
    made.rows["image_size"] = made.rows["image_size"].replace(32, 64)
    made.rows["stride"] = made.rows["stride"].replace(10, 1)
    made.rows["trained"] = made.rows["trained"].replace("blind", "one")
    return made


@pytest.fixture
def empty() -> FakeRun:
    """Return a run without a single row."""
    return FakeRun({}, pd.DataFrame(), folder=None)


@pytest.fixture
def changed(run: FakeRun) -> Callable[[Callable[[pd.DataFrame], pd.DataFrame]], FakeRun]:
    """Return a function that gives the smoke run with its rows passed through another."""

    def change(edit: Callable[[pd.DataFrame], pd.DataFrame]) -> FakeRun:
        return FakeRun(run.manifest, edit(run.rows.copy()), run.folder)

    return change


@pytest.fixture
def few_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw a few figures: with intervals, lines and bars; all of them have tests of their own."""
    some = tuple(f for f in drawing.FIGURES if f.draw in (draw_latency, draw_distance, draw_noise))
    assert len(some) == 3
    monkeypatch.setattr(drawing, "FIGURES", some)
