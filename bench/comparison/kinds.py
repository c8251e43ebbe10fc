"""What kind of number a column of a row holds, and so by which rule two of them are compared."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any


class Kind(StrEnum):
    """By which rule two numbers are compared."""

    COUNT = "count"
    """Chance has no part in it: another number is another network."""
    QUALITY = "quality"
    """A score of images, or an error: by the interval of the difference."""
    TIME = "time"
    """By samples or quartiles, on one machine only."""
    MEMORY = "memory"
    """By a tolerance, on one machine only."""
    FLAG = "flag"
    """Whether a check was passed."""
    OTHER = "other"
    """A number or a word of which nobody says which is better."""


@dataclass(frozen=True, slots=True)
class Measure:
    """A column that is compared."""

    kind: Kind
    sign: int = 0
    """-1 where less is better, 1 where more is, 0 where neither."""
    unit: str = ""


COUNTS = (
    "parameters", "gmacs_authors", "gmacs_fvcore", "gmacs_torch", "nfe", "checkpoint_mib",
)  # fmt: skip
"""A larger one is a regression, whatever the machine."""
LESS = (
    "frechet", "infinity", "kid", "lpips", "mse", "floor", "loss_held_out", "loss_last",
    "nearest_share", "best_calls", "mse_to_posterior_mean", "mse_low", "mse_middle", "mse_high",
    "tv_training",
)  # fmt: skip
MORE = (
    "psnr", "ssim", "ssim_authors", "precision", "recall", "density", "coverage", "accuracy",
)  # fmt: skip
UNITS = {"psnr": "dB", "checkpoint_mib": "MiB", "best_calls": "calls"}
MEASURES: Mapping[str, Measure] = MappingProxyType(
    {
        **{name: Measure(Kind.COUNT, -1, UNITS.get(name, "")) for name in COUNTS},
        **{name: Measure(Kind.QUALITY, -1, UNITS.get(name, "")) for name in LESS},
        **{name: Measure(Kind.QUALITY, 1, UNITS.get(name, "")) for name in MORE},
        **{name: Measure(Kind.TIME, -1, "s") for name in ("latency_s", "update_s")},
        **{name: Measure(Kind.TIME, -1, "x") for name in ("ratio", "time_ratio")},
        **{
            name: Measure(Kind.MEMORY, -1, "MiB")
            for name in ("peak_memory_mib", "peak_rss_rise_mib")
        },
        **{name: Measure(Kind.FLAG, 1) for name in ("passed", "counters_agree", "audit_passed")},
        "holds": Measure(Kind.OTHER),
    }
)
"""Columns whose rule is known; a number in any other one is `Kind.OTHER`."""
BEST = "best_value"
"""Its row says in `metric` which measure it is of."""

PLACES = (
    "t", "steps", "batch", "threads", "image_size", "channels", "scale", "sigma", "size", "factor",
    "share_of_mean", "step_noise", "data_range", "assumed_sigma", "sigma_255", "place", "clipped",
    "high_cycles_per_pixel", "low_cycles_per_pixel", "rtol", "atol", "solver_steps", "repeat",
    "teacher_steps",
)  # fmt: skip
"""Numbers and flags that say where on an axis a number is."""
IN_PARTS = ("calls", "updates", "evaluations")
"""Such ones where a row is a part of something, as a point of a curve is; else facts."""
HARD = (
    "dataset", "device", "n_generated", "n_real", "split", "stride", "resize", "lpips_resize",
    "weights_sha", "feature_precision", "dimension", "testset_sha",
)  # fmt: skip
"""Conditions under which a number has another meaning: other ones make no better and no worse."""
SOFT = ("n", "seed", "blocks")
"""Conditions under which images are others, so that nothing is paired."""
TOLD = (
    "key", "task", "label", "status", "reason", "found", "fault", "reference", "cpus",
    "noisy_reason", "audit_fault", "basis", "measured", "expected", "leads", "x_axis", "y_axis",
    "logarithmic", "ratio_to", "micro_batch", "n_train", "images_seen", "repeats", "rounds",
    "warmup", "most_s", "iterations", "effort", "n_held_out", "n_manifold", "n_training", "floor_n",
    "floor_against", "updates_most", "numbers", "images", "sampled", "tolerance", "converged",
    "residual", "field_residual", "counters_gap", "audit_output_error", "audit_repeated_ratio",
    "disjoint_value", "threshold", "n_test", "classes", "epochs", "label_smoothing",
)  # fmt: skip
"""What is no number to compare and no place: words for a reader, and the size of the effort."""
DERIVED = (
    "_low", "_high", "_se", "_q1_s", "_q3_s", "_fault", "_per_evaluation_s", "_sha", "_floor",
)  # fmt: skip
"""Ends of such columns, which belong to another one."""


def measure_of(name: str) -> Measure:
    """Return how a column is compared."""
    return MEASURES.get(name, Measure(Kind.OTHER))


def is_place(name: str, row: Mapping[str, Any]) -> bool:
    """Return whether a column of a row says where its numbers are rather than being one."""
    if name in TOLD or name in HARD or name in SOFT or name in MEASURES:
        return False
    if name in PLACES:
        return True
    return "part" in row if name in IN_PARTS else isinstance(row[name], str)


def is_number(name: str, row: Mapping[str, Any]) -> bool:
    """Return whether a column of a row is compared."""
    if name in MEASURES:
        return isinstance(row[name], bool | int | float | str)
    if is_place(name, row) or name in (*TOLD, *HARD, *SOFT, *IN_PARTS, "low", "high"):
        return False
    return type(row[name]) is float and not name.endswith(DERIVED)
