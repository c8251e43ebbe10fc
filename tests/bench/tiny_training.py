"""Trainings of a few updates of a very narrow network on small digits, in this process."""

from bench.budget import load_budget
from bench.context import TaskContext
from bench.plan import plan_of, study_for
from bench.store import Store
from bench.tasks.train import train

SETTINGS = (
    "image_size=16",
    "scale=0.0625",
    "train.updates=3",
    "train.passes=0",
    "train.validations=1",
    "denoising.n_one_step=4",
)


def study(*settings):
    return study_for(load_budget("smoke", [*SETTINGS, *settings]))


def measured(cell, folder):
    """Run a training cell in this process."""
    for part in ("made", "partial"):
        (folder / part).mkdir(parents=True)
    (planned,) = plan_of([cell], purpose="test")
    context = TaskContext(
        planned.cell, {}, Store(folder), folder / "made", folder / "partial", "cpu",
        progress=lambda done, total: None, pause_wanted=lambda: False,
    )  # fmt: skip
    return train(planned.cell, context)
