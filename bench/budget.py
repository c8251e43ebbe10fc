"""How much work a run does: the frozen budgets `smoke`, `small` and `paper`.

Every setting can be overruled in a file (`read_settings`) and, before that, on the command line:
`--set train.updates=200`. The effective values are part of the cells' keys and of `run.json`.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError

from bench.api import BenchError
from bench.errors import unknown
from bench.inputs import printable
from bench.settings import (
    Autopsy,
    Classics,
    Costs,
    Count,
    Denoising,
    Generation,
    Samplers,
    Seconds,
    Settings,
    Theory,
    Timing,
    Word,
)
from bench.settings_file import FileSettings, items, names, read_file, shown
from bench.settings_train import Train


class Budget(Settings):
    """Everything that a run's size depends on."""

    name: Word
    """Which frozen budget this one was made of; no setting."""
    dataset: Word = "celeba"
    """The data that is learnt and restored; `list dataset` names them."""
    image_size: Annotated[int, Field(ge=8, le=4096)] = 64
    """Side of its images, in pixels."""
    scale: Annotated[float, Field(ge=0.01, le=16, allow_inf_nan=False)] = 1.0
    """Width of the networks against the paper's; Table 5 is always at full width."""
    recipe: Word = "authors"
    """Schedule, prediction, loss and sampler together; `list recipe` names them."""
    schedule: Word = ""
    """The schedule that a noising step belongs to; the recipe's unless said otherwise."""
    backbones: Annotated[tuple[Word, ...], Field(min_length=1)] = ("unet", "cunet")
    """The networks that are trained and compared; `list backbone` names them."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """Of first weights, order, noise and samples; another one is another training."""
    checkpoints: Word = ""
    """Sets of trained networks to take, in order (`a,b`); `auto`: what fits; nothing: to train."""
    micro_batch: Count = 50
    """Images per network call wherever quality is measured; fixed and padded."""
    cell_limit_s: Seconds = 7 * 24 * 3600.0
    """Seconds after which a cell is stopped, and counts as failed."""
    cell_memory_gib: Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)] | None = None
    """Memory that one cell may hold (with its child processes); by default 90 % of the machine's,
    shared by the workers that run at once."""
    train: Train = Train()
    generation: Generation = Generation()
    samplers: Samplers = Samplers()
    denoising: Denoising = Denoising()
    classics: Classics = Classics()
    timing: Timing = Timing()
    costs: Costs = Costs()
    theory: Theory = Theory()
    autopsy: Autopsy = Autopsy()


SMOKE_THEORY = Theory(
    effort=1, n_images=64, stride=25, n_jacobian=8, jacobian_levels=(50, 400),
    solver_images=48, solver_levels=(150,), solver_steps=(1, 2, 4, 8), neighbours=6,
    scale=0.125, image_size=16, updates=200, batch=8, learning_rate=3e-3,
    n_generated=48, steps=(5, 10, 20),
)  # fmt: skip
SMALL_THEORY = Theory(
    n_images=96, n_jacobian=24, scale=0.25, updates=2_000, n_generated=256, batch=32,
)  # fmt: skip
BUDGETS = {
    "smoke": Budget(
        name="smoke",
        dataset="digits",
        image_size=32,
        scale=0.25,
        micro_batch=16,
        cell_limit_s=1800.0,
        train=Train(
            updates=850,
            batch=8,
            learning_rate=3e-3,
            ema=0.99,
            decay="cosine",
            passes=1.0,
            classic_updates=400,
            classic_batch=16,
            classic_learning_rate=5e-3,
            dncnn_updates=200,
            dncnn_batch=8,
            dncnn_learning_rate=1e-2,
            validations=8,
        ),
        generation=Generation(steps=(5, 10, 20, 50), n_generated=192, n_real=192, blocks=8),
        samplers=Samplers(
            steps=(5, 10, 20), n_generated=48, blocks=8, distil_updates=60, estimate_images=48
        ),
        denoising=Denoising(
            n_images=16, n_one_step=96, stride=10, classic_scale=0.25, trainings=("blind",)
        ),
        classics=Classics(
            denoisers=("identity", "dncnn-kair-25", "bm3d-torch"),
            testsets=("set12",),
            sigmas_255=(25,),
        ),
        autopsy=Autopsy(steps=(10,), features=("digit-classifier",)),
        timing=Timing(repeats=15, most_s=6.0),
        theory=SMOKE_THEORY,
        costs=Costs(
            batches=(16,),
            repeats=10,
            most_s=5.0,
            ceiling_repeats=5,
            engines=("eager", "packed", "packed+dtype=bfloat16"),
        ),
    ),
    "small": Budget(
        name="small",
        dataset="mnist",
        image_size=32,
        scale=0.5,
        checkpoints="auto",
        micro_batch=16,
        cell_limit_s=6 * 3600.0,
        train=Train(
            updates=10_000,
            batch=64,
            learning_rate=5e-4,
            ema=0.999,
            precision="bfloat16",
            decay="cosine",
            warmup=200,
            classic_updates=3_000,
            classic_batch=32,
            dncnn_updates=3_000,
            dncnn_batch=32,
            validations=20,
        ),
        generation=Generation(steps=(5, 10, 20, 50, 100), n_generated=1_000, n_real=2_000),
        samplers=Samplers(
            steps=(5, 10, 20), n_generated=256, distil_updates=1_000, estimate_images=256
        ),
        denoising=Denoising(n_images=64, n_one_step=128, stride=5, classic_scale=0.5),
        theory=SMALL_THEORY,
    ),
    "paper": Budget(name="paper"),
}


FIXED = ("name",)
"""What no setting changes."""


def read_settings(path: Path) -> FileSettings:
    """Return the settings of a TOML file, for `load_budget`; tables stand for dotted names.

        scale = 0.5
        [train]
        updates = 200

    Raises:
        BenchError: If it cannot be read, is no TOML, or names something that is no setting.
    """
    return read_file(path, _settable())


def _settable() -> dict[str, Any]:
    return BUDGETS["paper"].model_dump(exclude=set(FIXED))


def load_budget(
    name: str, overrides: Iterable[str] = (), *, file_values: FileSettings | None = None
) -> Budget:
    """Return a budget with the settings of a file and, over them, `key=value` settings applied.

    A comma-separated list, in brackets or not (`steps=[5,10]`), stands for several values.

    Raises:
        BenchError: If the budget, a key or a value is not known or not allowed.
    """
    if name not in BUDGETS:
        raise unknown("budget", printable(name, 100), list(BUDGETS))
    values: dict[str, Any] = BUDGETS[name].model_dump()
    origin: dict[str, str] = {}
    if file_values is not None:
        for key, value in file_values.values.items():
            _assign(values, key, value)
            origin[key] = f"settings file {printable(file_values.path)}: "
    for text in overrides:
        key, equals, value = (part.strip() for part in text.partition("="))
        if not equals:
            raise BenchError(
                f"--set {printable(text, 100)}: expected key=value, such as train.updates=200"
            )
        _assign(values, key, _listed(values, key, value))
        origin[key] = "--set "
    try:
        return Budget.model_validate(values)
    except ValidationError as error:
        raise _not_allowed(error, origin) from None


def _not_allowed(error: ValidationError, origin: Mapping[str, str]) -> BenchError:
    """Return the first fault of a budget in one line that says where the setting came from."""
    first = error.errors(include_url=False)[0]
    parts = [part for part in map(str, first["loc"]) if part.isidentifier()]  # of settings' names
    where = ".".join(parts)
    from_group = next((o for key, o in origin.items() if key.startswith(where)), "--set ")
    given = "" if isinstance(first["input"], dict) else f"={shown(first['input'])}"
    words = printable(first["msg"].lower(), 200)
    return BenchError(f"{origin.get(where, from_group)}{where}{given} is not allowed: {words}")


def changed_settings(budget: Budget) -> list[str]:
    """Return the settings in which a budget differs from the frozen one of its name.

    The data set is a choice of its own, as are schedule and sampler where they are the recipe's.
    """
    frozen = dict(items(BUDGETS[budget.name].model_dump(exclude={"dataset"})))
    ours = dict(items(budget.model_dump(exclude={"dataset"})))
    return [name for name, value in ours.items() if frozen[name] != value]


def _assign(values: dict[str, Any], key: str, value: Any) -> None:
    group, last = _place(values, key)
    group[last] = value


def _listed(values: dict[str, Any], key: str, text: str) -> Any:
    """Return the text of a setting; its parts where the setting takes several."""
    group, last = _place(values, key)
    if not isinstance(group[last], tuple | list):
        return text
    return [part.strip() for part in text.strip("[]()").split(",") if part.strip()]


def _place(values: dict[str, Any], key: str) -> tuple[dict[str, Any], str]:
    """Return the group that holds a setting, and the setting's name in it."""
    *groups, last = key.split(".")
    group: Any = values
    for name in groups:
        group = group.get(name) if isinstance(group, dict) else None
    if not isinstance(group, dict) or isinstance(group.get(last, {}), dict) or key in FIXED:
        raise _unknown(key)
    return group, last


def _unknown(key: str) -> BenchError:
    return unknown("setting", printable(key, 100), names(_settable()))
