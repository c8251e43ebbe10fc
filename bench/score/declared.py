"""What a file of weights says of the network in it: our own trainings say how it was trained."""

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench import registry
from bench.api import BenchError, Kind
from bench.inputs import printable, unreadable

PREDICTIONS = ("noise", "x0", "v")
LONGEST_HEADER = 2**25
USUAL_SCHEDULE = "linear"


def conventions(path: Path | None, prediction: str, schedule: str) -> tuple[str, str]:
    """Return prediction and schedule of a network: what its file declares, else what was said.

    Args:
        path: Of its weights, safetensors; None where the network brings them.
        prediction: As said; empty where nothing was.
        schedule: The same.

    Raises:
        BenchError: If what was said contradicts the file, or nobody says what the network predicts.
    """
    known = declared(path) if path is not None else {}
    prediction = _agreed("prediction", prediction, known, path) or prediction
    schedule = _agreed("schedule", schedule, known, path) or schedule or USUAL_SCHEDULE
    if prediction not in PREDICTIONS:
        said = f" {printable(prediction, 60)}" if prediction else ""
        raise BenchError(
            f"--prediction{said}: say what the network predicts, {', '.join(PREDICTIONS)}"
        )
    return prediction, registry.find(Kind.SCHEDULE, schedule).name


def declared(path: Path) -> dict[str, str]:
    """Return what a file of weights declares of "prediction" and "schedule"; nothing of it is run.

    A file that is none, or says nothing, declares nothing: whoever loads it says what is wrong.
    """
    about = _about(path)
    found = {name: about[name] for name in ("prediction", "schedule") if name in about}
    denoiser = _inner(_inner(about, "spec"), "denoiser")
    recipe = about.get("recipe", denoiser.get("recipe"))
    if len(found) < 2 and isinstance(recipe, str):
        built = registry.build(Kind.RECIPE, recipe)
        found = {"prediction": built.prediction, "schedule": built.schedule} | found
    return {name: printable(value, 60) for name, value in found.items() if isinstance(value, str)}


def _inner(about: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = about.get(name)
    return found if isinstance(found, dict) else {}


def _agreed(name: str, said: str, known: Mapping[str, str], path: Path | None) -> str:
    declared = known.get(name, "")
    if said and declared and said != declared:
        raise BenchError(
            f"--{name} {printable(said, 60)}: {printable(path)} declares {declared}; leave the "
            "option out, or bring the file that was meant"
        )
    return declared


def _about(path: Path) -> dict[str, Any]:
    """Return the description in a safetensors header; empty where there is none."""
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            header = json.loads(file.read(length)) if length <= LONGEST_HEADER else {}
        about = json.loads(header["__metadata__"]["about"])
    except OSError as error:
        raise unreadable(path, error) from error
    except (struct.error, ValueError, KeyError, TypeError, RecursionError):
        return {}
    return about if isinstance(about, dict) else {}
