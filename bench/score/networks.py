"""A denoising network that somebody brings: what it is, and the cells that score it.

A network is code and is run as such; its weights are data and are read as safetensors only. What is
scored is known by content: the sha256 of its code and of its weights.
"""

import hashlib
import importlib.metadata
import importlib.util
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench import assets, code
from bench.api import BenchError, Cell, Kind, Missing
from bench.canonical import digest
from bench.device import chosen_device
from bench.errors import unknown
from bench.experiments import cells
from bench.inputs import printable, read_whole, unreadable
from bench.installation import is_installed, version
from bench.plan import Study, plan_of
from bench.registry import find
from bench.score.declared import conventions
from bench.score.plan import SCORE, session_of, short_digest, study_of
from bench.score.samples import note_place
from bench.session import Session

RANGES = {"-1,1": -1.0, "0,1": 0.0}
"""The range of clean images that the network was trained on -> its lower end."""
REFERENCES = ("identity", "wiener")
"""The noisy input itself, and the best linear filter: what a network is compared with."""
CONFIGS = ("unet/config.json", "config.json")
SCHEDULERS = ("scheduler/scheduler_config.json", "scheduler_config.json")
TENSORS = "diffusion_pytorch_model.safetensors"
THEIR_PREDICTIONS = {"epsilon": "noise", "sample": "x0", "v_prediction": "v"}
LONGEST_CONFIG = 2**20
MODEL = "UNet2DModel"


@dataclass(frozen=True)
class AskedNetwork:
    """What a person says about a network."""

    spec: str
    """package.module:factory, path/to/file.py:factory, or a folder of diffusers."""
    checkpoint: Path | None
    prediction: str
    """Empty where the checkpoint says it."""
    schedule: str
    """Empty where the checkpoint says it, or it is the usual one."""
    value_range: str


@dataclass(frozen=True)
class Network:
    """A network as a cell names it."""

    name: str
    form: str
    """"file", "module" or "diffusers"."""
    sha256: str
    """Of its code, or of a folder's configuration."""
    entry: str
    """The factory's name, after the module's where it is one, or diffusers' with its version."""
    checkpoint: str
    """The sha256 of its weights; empty where the factory brings them."""
    prediction: str
    schedule: str
    low: float
    """Lower end of the range of clean images; the upper one is 1."""
    imports: str = ""
    """The sha256 of what a file imports and that may be edited; empty where that is nothing."""


def settle_denoiser(
    asked: AskedNetwork, dataset: str, levels: Sequence[int], *, size: int, n: int, device: str,
    out: Path | None,
) -> Session:  # fmt: skip
    """Return the session that scores a network as a denoiser, beside two references.

    Raises:
        BenchError: If something that is named is not known or cannot be read.
    """
    find(Kind.DATASET, dataset)
    network = network_of(asked)
    words = ",".join(str(t) for t in levels)
    study = study_of(
        dataset, size,
        ["schedule=sigmoid", f"denoising.n_images={n}", f"denoising.classic_levels={words}"],
    )  # fmt: skip
    device = chosen_device(device)
    wanted = list(cells.canaries(study))
    for t in study.budget.denoising.classic_levels:
        wanted += [cells.denoise(study, reference, t) for reference in REFERENCES]
        wanted.append(_cell(study, network, t))
    about = f"{network.sha256[:8]}{network.imports[:8]}{network.checkpoint[:8]}"
    name = f"score-{dataset}-{network.name}-{about}-{n}"
    name += f"-{short_digest([asdict(network), list(levels), size])}"
    plan = plan_of(wanted, purpose=SCORE, device=device)
    return session_of(study, plan, name, device=device, out=out)


def _cell(study: Study, network: Network, t: int) -> Cell:
    """Return Table 4's cell with another network in it."""
    spec = dict(cells.denoise(study, REFERENCES[0], t).spec)
    del spec["denoiser"]
    return Cell("foreign-denoise", {"network": asdict(network), **spec})


def network_of(asked: AskedNetwork) -> Network:
    """Return what a cell needs to know of a network, and note where its parts lie.

    Raises:
        BenchError: If it is not there or its conventions are not known.
    """
    folder = assets.home_expanded(asked.spec)
    if folder.is_dir():
        return _of_folder(folder)
    place, colon, factory = asked.spec.rpartition(":")
    if not colon or not factory.isidentifier():
        raise BenchError(
            f"--denoiser {printable(asked.spec, 100)}: expected package.module:factory, "
            "path/to/file.py:factory or a folder of diffusers"
        )
    if asked.value_range not in RANGES:
        raise unknown("range of a network", asked.value_range, list(RANGES))
    checkpoint = _checkpoint(asked.checkpoint)
    prediction, schedule = conventions(asked.checkpoint, asked.prediction, asked.schedule)
    form, sha, entry, imports = _code_of(place, factory)
    low = RANGES[asked.value_range]
    return Network(factory, form, sha, entry, checkpoint, prediction, schedule, low, imports)


def _code_of(place: str, factory: str) -> tuple[str, str, str, str]:
    """Return form, sha256, entry and imports of a factory, of which nothing is run here."""
    if place.endswith(".py"):
        path = assets.home_expanded(place)
        if not path.is_file():
            raise Missing(f"there is no file {printable(path)}; expected one with '{factory}'")
        sha = _hash(path)
        note_place(sha, path)
        return "file", sha, factory, code.digest_of_imports(path.resolve())
    try:
        found = importlib.util.find_spec(place)
    except (ImportError, ValueError, AttributeError) as error:
        raise Missing(f"no module '{printable(place, 100)}' ({printable(error, 100)})") from None
    if found is None:
        raise Missing(f"no module '{printable(place, 100)}'; install it, or name a .py file")
    return "module", _module_sha(place, str(found.origin)), f"{place}:{factory}", ""


def _module_sha(module: str, origin: str) -> str:
    """Return what tells one state of a module from another.

    Of an installed package the version says what the rest of it is; one that is being written is
    read as a whole.
    """
    if not code.is_installed(Path(origin)):
        return code.digest(module)
    package = module.partition(".")[0]
    names = importlib.metadata.packages_distributions().get(package, [])
    versions = [f"{name}=={version(name)}" for name in sorted(set(names))]
    return digest([code.module_digest(module), versions])


def _checkpoint(path: Path | None) -> str:
    if path is None:
        return ""
    if path.suffix.lower() != ".safetensors":
        raise BenchError(
            f"--checkpoint {printable(path)}: expected .safetensors; other forms can run code when "
            "they are read: save the state dict with safetensors.torch.save_file"
        )
    sha = _hash(path)
    note_place(sha, path)
    return sha


def _hash(path: Path) -> str:
    try:
        return assets.sha256(path)
    except OSError as error:
        raise unreadable(path, error) from error


# ------------------------------------------------------------------ folders of diffusers


def _of_folder(folder: Path) -> Network:
    """Return the network of a folder that diffusers wrote; its own files say the conventions."""
    config = _first(folder, CONFIGS)
    about, schedule = _json(config), _json(_first(folder, SCHEDULERS))
    kind = about.get("_class_name")
    if kind != MODEL:
        raise BenchError(
            f"{printable(config)} is of a {printable(kind, 60)}; expected an unconditional {MODEL}"
        )
    weights = config.parent / TENSORS
    if not weights.is_file():
        raise Missing(
            f"{printable(config.parent)} has no {TENSORS}; .bin files can run code and are not "
            "read: save the model again with safe_serialization=True"
        )
    if not is_installed("diffusers"):
        raise Missing("a folder of diffusers needs diffusers; install with: pip install diffusers")
    prediction, name = conventions_of(schedule)
    sha = hashlib.sha256(config.read_bytes()).hexdigest()
    note_place(sha, config)
    return Network(
        folder.resolve().name[:60] or "diffusers", "diffusers", sha,
        f"diffusers=={version('diffusers')}:{MODEL}",  # its code is not in the folder
        _checkpoint(weights), prediction, name, -1.0,
    )  # fmt: skip


def conventions_of(scheduler: dict[str, Any]) -> tuple[str, str]:
    """Return prediction and schedule that a scheduler's configuration declares.

    Raises:
        BenchError: If it declares others than are known here.
    """
    kind = scheduler.get("_class_name")
    # Those of other processes (flow matching, EDM, score SDEs) are not made of betas.
    if kind is not None and "beta_schedule" not in scheduler:
        raise BenchError(
            f"the scheduler is a {printable(kind, 60)}, whose noise is not DDPM's; expected one "
            "with a beta_schedule, such as DDPMScheduler"
        )
    declared = scheduler.get("prediction_type", "epsilon")
    if declared not in THEIR_PREDICTIONS:
        raise unknown("prediction_type", printable(declared, 60), list(THEIR_PREDICTIONS))
    betas = scheduler.get("beta_schedule", "linear")
    ends = scheduler.get("beta_start", 1e-4), scheduler.get("beta_end", 0.02)
    steps = scheduler.get("num_train_timesteps", 1000), scheduler.get("timestep_type", "discrete")
    plain = steps == (1000, "discrete") and not any(
        scheduler.get(name) for name in ("trained_betas", "rescale_betas_zero_snr")
    )
    if plain and betas == "linear" and ends == (1e-4, 0.02):
        return THEIR_PREDICTIONS[declared], "linear"
    if plain and betas == "squaredcos_cap_v2":
        return THEIR_PREDICTIONS[declared], "cosine"
    raise BenchError(
        f"the scheduler declares {printable(betas, 40)} betas from {ends[0]} to {ends[1]}; "
        "expected 1,000 steps, linear from 0.0001 to 0.02, or squaredcos_cap_v2"
    )


def _first(folder: Path, names: Sequence[str]) -> Path:
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise Missing(f"{printable(folder)} has no {' or '.join(names)}; expected a diffusers folder")


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(read_whole(path, LONGEST_CONFIG))
    except OSError as error:
        raise unreadable(path, error, "a configuration") from error
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise BenchError(f"{printable(path)} is no configuration in JSON; get it again")
    return found
