"""Adding a run's trained networks to those of the package, or one's own (`bench.shipped`)."""

import contextlib
import json
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from bench import shipped
from bench.api import BenchError, Kind, Missing
from bench.disk import exchanged, file_sha, made_writable, write_atomically
from bench.inputs import printable
from bench.parts import read_tensors, write_tensors
from bench.record import is_plain_name
from bench.registry import DIFFUSION, build
from bench.runs import Run
from bench.store import Record
from bench.tasks.taken import halved

MOST_BYTES = 80 * 2**20
"""Of all networks of the package together: they travel with every clone."""
NEW = ".new"
"""Where networks lie until all of them can be moved to their set."""
OLD = ".old"
"""Where, in there, those lie meanwhile that were in their places: no network has such a name."""
LOCK = ".lock"
WAIT_S = 60.0
"""For another process that ships to the same folder, which takes seconds."""
CONTENTS = "README.md"
"""Lists the networks for people."""
INTRODUCTION = """# Trained networks

Half precision, safetensors, taken in place of a training by `--checkpoint SET`; budget `small`
takes whatever fits. `python -m bench ship RUN SET` wrote these folders and this page. Each card
says how its network was trained and what it is not for. Losses are from before the rounding to
half precision, and compare where data, noise and prediction are the same, and nowhere else.

| network | data | width | updates | images seen | held-out loss | MiB |
|---|---|---:|---:|---:|---:|---:|
"""
CURVES = ("curve.csv", "validation.csv")
POINTS = 200
"""Lines of a curve that are kept, evenly spaced."""


def ship(run: Run, name: str) -> list[Path]:
    """Copy the trained networks of a run into the set `name`, in half precision; return cards.

    The set is one of the package, or one's own where the environment names a folder for those.
    A network of the same name in that set is replaced, where it is of the same data and recipe.

    Raises:
        BenchError: If the name is none, or is the package's and the set one's own, the run trained
            nothing, the set has another network of the same name, a value does not fit into half
            precision, or all of the package together would be too large; nothing is changed then.
        Missing: If the weights of another network beside it are lost; likewise.
        StorageError: If the folder cannot be written; likewise.
    """
    _refuse_name(name)
    trained = [one for one in run.records if _is_training(one)]
    if not trained:
        raise BenchError(f"{run.folder} trained no network; name a run with cells 'train'")
    home = shipped.home()
    if home != shipped.FOLDER and any(one.set == name for one in shipped.listed(shipped.FOLDER)):
        raise BenchError(f"the package has a set '{name}'; choose another name")
    made_writable(home, f"name a folder that you may write to with {shipped.OWN}")
    with _alone(home):
        return _exchange(run, trained, home, name)


def _refuse_name(name: str) -> None:
    taken = name == shipped.AUTO or name.lower() in (shipped.INDEX, CONTENTS.lower())
    if taken or not is_plain_name(name) or "," in name or name != name.strip():
        raise BenchError(f"'{name}' cannot name a set; use a plain name such as mnist-32")


@contextlib.contextmanager
def _alone(home: Path) -> Iterator[None]:
    """Let no other process ship to a folder meanwhile: each writes the index that it has read."""
    try:
        held = FileLock(home / LOCK).acquire(timeout=WAIT_S)
    except Timeout:
        raise BenchError(
            f"another process ships to {printable(home)}; do it again once that is done"
        ) from None
    with held:
        yield


def _exchange(run: Run, trained: Sequence[Record], home: Path, name: str) -> list[Path]:
    """Write the networks of a run beside the sets of a folder, then move all to their places."""
    scratch = home / NEW
    shutil.rmtree(scratch, ignore_errors=True)
    try:
        there = shipped.listed(home)
        names = _networks(trained, name, there)
        made = [
            _made(run, record, home, (name, one))
            for record, one in zip(trained, names, strict=True)
        ]
        renewed = {one.name for one in made}
        kept = [one for one in there if one.name not in renewed]
        _refuse_lost(kept)
        if home == shipped.FOLDER:
            _refuse_large(kept, scratch)
        listed = sorted([*kept, *made], key=lambda one: one.name)
        places = {one.folder: scratch / one.network for one in made}
        with exchanged(places, scratch / OLD):
            page = contents(listed)
            index = {"networks": [_line(one) for one in listed]}
            text = json.dumps(index, indent=1, sort_keys=True) + "\n"
            write_atomically(home / shipped.INDEX, text.encode())
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    write_atomically(home / CONTENTS, page.encode())
    return [one.folder / "card.md" for one in made]


def _refuse_lost(kept: Sequence[shipped.Shipped]) -> None:
    """Refuse to list networks that are not there, whose size is to be told."""
    for one in kept:
        if not one.folder.is_dir():
            raise Missing(
                f"{printable(one.folder)} is gone, which {shipped.INDEX} beside its set lists; "
                "restore it with git, or take its entry out of that file"
            )
        one.file(shipped.WEIGHTS)


def _is_training(record: Record) -> bool:
    own = record["task"] == "train" and record["status"] == "ok"
    return own and shipped.CHECKPOINT not in record["spec"]


def _line(one: shipped.Shipped) -> dict[str, Any]:
    """Return what an index says of a network: all but where the index is."""
    return {part: value for part, value in asdict(one).items() if part != "home"}


def _made(run: Run, record: Record, home: Path, names: tuple[str, str]) -> shipped.Shipped:
    """Write the files of one network and return its entry; the names are the set's and its own."""
    name, network = names
    folder = home / NEW / network
    folder.mkdir(parents=True)
    tensors, header = read_tensors(run.file(record["key"], shipped.WEIGHTS))
    write_tensors(folder / shipped.WEIGHTS, halved(tensors), header)
    for curve in CURVES:
        if curve in record["files"]:
            lines = run.file(record["key"], curve).read_text().splitlines(keepends=True)
            (folder / curve).write_text("".join(_thinned(lines)))
    files = {path.name: file_sha(path) for path in sorted(folder.iterdir())}
    made = {part: record["made"][part] for part in ("machine", "versions", "device")}
    if data := record.get("basis", {}).get("data"):
        made[shipped.DATA] = data
    (row,) = record["rows"]
    one = shipped.Shipped(name, network, record["spec"], files, row, made, home)
    (folder / "card.md").write_text(card(one, (folder / shipped.WEIGHTS).stat().st_size))
    return one


def _networks(trained: Sequence[Record], name: str, there: Sequence[shipped.Shipped]) -> list[str]:
    """Return folder names for networks; the width is in it where the set has another already.

    Raises:
        BenchError: If two would have one name, or one that of another network in the set.
    """
    ours = {one.network: one for one in there if one.set == name}
    widths = {network: one.width for network, one in ours.items()}
    found: list[str] = []
    for record in trained:
        network, width = _network(record["spec"]), shipped.width_of(record["spec"])
        if widths.setdefault(network, width) != width:
            network = f"{network}-width-{width:g}"
            widths[network] = width
        if network in found:
            raise BenchError(
                f"several networks of the run would be called {name}/{network}; name a run with "
                "one data set, one size and one recipe"
            )
        if network in ours and not ours[network].fits(record["spec"]):
            data = ours[network].spec["dataset"]
            raise BenchError(
                f"the set '{name}' has another {network}, of {printable(data['name'], 60)} at "
                f"{data['image_size']} pixels: data, size, seed and recipe are to be the same; "
                "choose another name"
            )
        found.append(network)
    return found


def _network(spec: dict[str, Any]) -> str:
    """Return a folder name for a network: denoiser, noise and seed where they are not the usual."""
    kind = next(word for word in ("denoiser", "generator") if word in spec)
    parts = [spec[kind]["name"].removeprefix("diffusion:")]
    if "noise" in spec:
        parts.append(spec["noise"]["name"])
    if spec["seed"]:
        parts.append(f"seed-{spec['seed']}")
    return re.sub(r"[^A-Za-z0-9.+-]+", "-", "-".join(parts))


def _thinned(lines: Sequence[str]) -> list[str]:
    """Return the header, every so-many-th line, and the last."""
    header, *points = lines
    step = max(1, -(-len(points) // POINTS))
    kept = points[::step]
    return [header, *kept, *(points[-1:] if points and points[-1] is not kept[-1] else [])]


def _refuse_large(kept: Sequence[shipped.Shipped], scratch: Path) -> None:
    paths = [path for one in kept for path in one.folder.iterdir()]
    total = sum(path.stat().st_size for path in [*paths, *scratch.rglob("*.*")])
    if total > MOST_BYTES:
        raise BenchError(
            f"all checkpoints together would have {total / 2**20:.0f} MiB, expected at most "
            f"{MOST_BYTES >> 20}; remove a set from models/checkpoints and its entries from "
            f"{shipped.INDEX} first, or name a folder of your own with {shipped.OWN}"
        )


def contents(listed: Sequence[shipped.Shipped]) -> str:
    """Return a page that lists the networks: what of, how long trained, how good, how large."""
    rows = []
    for one in listed:
        data, size = one.spec["dataset"], (one.folder / shipped.WEIGHTS).stat().st_size
        rows.append(
            f"| [{one.name}]({one.name}/card.md) | `{data['name']}`, "
            f"{data['image_size']}x{data['image_size']} | {one.width:g} | "
            f"{one.row['updates']:,} | {one.row['images_seen']:,} | "
            f"{one.row['loss_held_out']:.4g} | {size / 2**20:.1f} |"
        )
    return INTRODUCTION + "".join(f"{row}\n" for row in rows)


def _begun(spec: Mapping[str, Any]) -> str:
    """Return a card's words on the networks that this one goes on from, the latest first."""
    words = ""
    while begun := spec.get(shipped.BEGUN):
        size = begun.get("image_size")
        at = f", at {size}x{size}" if size else ""
        words += f""".
  So since it went on from `{begun["name"]}`{at}, sha256
  `{begun["sha256"]}`,
  of {begun["updates"]:,} updates and {begun["images_seen"]:,} images, made with the settings:
  {_told(begun["training"])}"""
        spec = begun
    return words


def _told(training: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in sorted(training.items()))


def card(one: shipped.Shipped, size: int) -> str:
    """Return a network's card: what it is, of what data, how it was made, what it cannot."""
    spec, training, data = one.spec, one.spec["training"], one.spec["dataset"]
    dataset = build(Kind.DATASET, data["name"], image_size=data["image_size"])
    denoiser = spec.get("denoiser") or spec["generator"]
    recipe = f"{_told(training)}{_begun(spec)}"
    noise = f", at {spec['noise']['name']}" if "noise" in spec else ""
    network = ""
    if "recipe" in denoiser:  # a backbone: a run may have others
        network = (
            f" --set scale={one.width:g} --set backbones={denoiser['name'].removeprefix(DIFFUSION)}"
        )
    machine = one.made["machine"]
    where = f"{', '.join(machine['gpu'])}" if one.made["device"] == "cuda" else machine["cpu"]
    return f"""# {one.name}

- **Network**: `{denoiser["name"]}` at {denoiser.get("scale", 1.0):g} of the paper's width{noise};
  recipe `{denoiser.get("recipe", "of its own")}`, seed {spec["seed"]}.
- **Data**: `{data["name"]}`, {one.row["n_train"]:,} images of
  {dataset.channels}x{data["image_size"]}x{data["image_size"]}. Licence of the data:
  {dataset.licence}. The weights are under the licence of the code.
- **Training**: {one.row["updates"]:,} updates, {one.row["images_seen"]:,} images seen, on {where},
  torch {one.made["versions"]["torch"]}. The weights are the moving average. Settings: {recipe}.
- **Loss**: {one.row["loss_last"]:.5g} over the last 100 updates, {one.row["loss_held_out"]:.5g} on
  held-out images, before rounding to half precision. `curve.csv` and `validation.csv` are the way
  there.
- **File**: `weights.safetensors`, {size / 2**20:.1f} MiB, half precision, sha256
  `{one.files[shipped.WEIGHTS]}`.
- **Use**: `--checkpoint {one.set}` takes it in any run of such images and width. The loss of these
  rounded weights, beside the one above, is measured by `python -m bench run all --budget small
  --dataset {data["name"]} --set image_size={data["image_size"]}{network} --checkpoint {one.set}
  --only 'train * {one.name}'`.
- **Not for**: anything but comparing architectures. It saw one small data set for a short time.
"""
