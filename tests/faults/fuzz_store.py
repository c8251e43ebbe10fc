"""Records, run manifests and checkpoints: what lies in a store that others write to."""

import json
import random
from pathlib import Path
from types import SimpleNamespace

import torch
from fuzz_kind import ABSENT, Kind
from fuzz_mutations import mutated, mutated_json
from torch import nn

from bench import canonical
from bench.api import Paused
from bench.checkpoint import load_weights, save_weights
from bench.parts import in_parts, keep, read_kept
from bench.runs import MISSING, load_run
from bench.store import Store
from bench.training import Loop, TrainSettings

HOME = Path(__file__).resolve().parents[2]
KEY = "a" * 64


def _record(root: Path, key: str = KEY) -> dict:
    """Return a record of the form that the store writes, from the reference run where it is."""
    found = sorted((HOME / "results").rglob("cells/*.json"))
    if found:
        record = json.loads(max(found, key=lambda path: path.stat().st_size).read_bytes())
        return {**record, "key": key}
    parts = {"task": "cost", "label": "cost unet", "status": "ok", "reason": "", "spec": {}}
    parts |= {"rows": [{"value": 1.0}], "files": {}, "uses": [], "timing": False, "made": {}}
    return {**parts, "key": key, "format": 1}


def _sealed(record: object) -> bytes:
    """Return a record with a checksum that fits: what somebody would write who means harm."""
    if isinstance(record, dict):
        record = {name: value for name, value in record.items() if name != "checksum"}
        try:
            record["checksum"] = canonical.digest(record)
        except (TypeError, ValueError):
            record["checksum"] = "0" * 64
    return json.dumps(record, sort_keys=True, separators=(",", ":")).encode()


def records(root: Path) -> list[Kind]:
    store = Store(root)
    store.prepare()
    valid = _record(root)
    corpus = [_sealed(valid)]

    def make(rng: random.Random) -> bytes:
        return mutated(rng, corpus)

    def make_sealed(rng: random.Random) -> bytes:
        return _sealed(mutated_json(rng, valid))

    def read(data: bytes) -> object:
        store.path(KEY).write_bytes(data)
        record = store.peek(KEY)
        if record is not None:
            store.is_whole(record)
        return ABSENT if store.get(KEY) is None else record

    return [Kind("record", make, read), Kind("record, sealed", make_sealed, read)]


def manifests(root: Path) -> list[Kind]:
    store = Store(root)
    store.prepare()
    store.path(KEY).write_bytes(_sealed(_record(root)))
    found = sorted((HOME / "results").rglob("run.json"))
    valid = json.loads(found[0].read_bytes()) if found else {}
    valid |= {"store": ".", "cells": [KEY], "name": "run", "report": "."}
    path = root / "run.json"
    records_before = store.path(KEY).read_bytes()

    def make(rng: random.Random) -> bytes:
        if rng.random() < 0.4:
            return mutated(rng, [json.dumps(valid).encode()])
        return json.dumps(mutated_json(rng, valid)).encode()

    def read(data: bytes) -> object:
        path.write_bytes(data)
        return len(load_run(root).rows)

    def read_rows(data: bytes) -> object:
        store.path(KEY).write_bytes(data)
        path.write_text(json.dumps(valid))
        try:
            run = load_run(root)
            return len(run.rows) if run.records[0]["status"] != MISSING else ABSENT
        finally:
            store.path(KEY).write_bytes(records_before)

    def make_rows(rng: random.Random) -> bytes:
        return _sealed(mutated_json(rng, _record(root)))

    return [Kind("run manifest", make, read), Kind("rows of a run", make_rows, read_rows)]


class Tiny(nn.Module):
    """A network of a few numbers."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(3))
        self.shift = nn.Parameter(torch.zeros(2, 2))
        self.updates = 0

    def loss(self, batch, rng):
        self.updates += 1
        return (self.scale.sum() * batch.mean() - self.shift.sum()) ** 2


def weights(root: Path) -> list[Kind]:
    path = root / "weights.safetensors"
    save_weights(path, Tiny(), {"name": "tiny"})
    corpus = [path.read_bytes()]

    def read(data: bytes) -> None:
        path.write_bytes(data)
        load_weights(path, Tiny())

    return [Kind("weights", lambda rng: mutated(rng, corpus), read)]


def checkpoints(root: Path) -> list[Kind]:
    adam = {"learning_rate": 1e-3, "beta1": 0.9, "beta2": 0.99, "ema": 0.9, "clip": 1.0}
    chosen = TrainSettings(
        updates=2, batch=2, precision="float32", decay="none", passes=0.0, **adam
    )
    clean = torch.rand(4, 1, 2, 2)
    try:
        Loop(chosen, root, pause_wanted=lambda: True).train(Tiny(), clean, 0)
    except Paused:
        pass
    valid = {path.name: path.read_bytes() for path in root.iterdir()}
    assert valid, "no checkpoint was made"
    name = max(valid, key=lambda name: len(valid[name]))

    def read(data: bytes) -> str:
        for path in root.iterdir():
            path.unlink()
        for other, content in valid.items():
            (root / other).write_bytes(data if other == name else content)
        network = Tiny()
        Loop(chosen, root).train(network, clean, 0)
        return "went on" if network.updates == 1 else ABSENT

    def make_sealed(rng: random.Random) -> bytes:
        """Return a checkpoint of other tensors and facts, with a digest that fits."""
        tensors, facts = kept
        tensors = {odd_name(rng, key): odd_tensor(rng, t) for key, t in tensors.items()}
        facts = mutated_json(rng, facts) if rng.random() < 0.3 else facts
        keep(root / name, tensors, of=root.name, facts=facts)
        return (root / name).read_bytes()

    kept = read_kept(root / name, of=root.name)
    kept = ({key: value.clone() for key, value in kept[0].items()}, kept[1])
    return [
        Kind("checkpoint", lambda rng: mutated(rng, [valid[name]]), read),
        Kind("ckpt., forged", make_sealed, read),
    ]


def odd_name(rng: random.Random, name: str) -> str:
    """Return a tensor's name, seldom another."""
    return name if rng.random() < 0.9 else mutated(rng, [name.encode()]).decode("latin-1")


def odd_tensor(rng: random.Random, value: torch.Tensor) -> torch.Tensor:
    """Return a tensor, seldom one of another type, shape or with other values."""
    changes = (
        lambda: value.to(rng.choice((torch.int64, torch.bool, torch.float16, torch.float64))),
        lambda: value.reshape(-1)[: rng.randint(0, 2)],
        lambda: value[None],
        lambda: torch.full_like(value, float(rng.choice(("nan", "inf", "-1", "1e38")))),
    )
    return value if rng.random() < 0.8 else rng.choice(changes)()


def parts(root: Path) -> list[Kind]:
    context = SimpleNamespace(
        partial=root, pause_wanted=lambda: False, progress=lambda done, total: None
    )
    folder = root / "parts"

    def block(found: range) -> dict[str, torch.Tensor]:
        return {"x": torch.arange(found.start, found.stop, dtype=torch.float32)}

    def make(rng: random.Random) -> bytes:
        tensors = {f"{i}/x": torch.zeros(2) for i in (0, 2, 4)}
        odd = {odd_name(rng, key): odd_tensor(rng, value) for key, value in tensors.items()}
        path = folder / "00000000.safetensors"
        keep(path, odd, of=f"{root.name}/parts", facts={})
        return mutated(rng, [path.read_bytes()]) if rng.random() < 0.3 else path.read_bytes()

    def read(data: bytes) -> object:
        for path in folder.iterdir():
            path.unlink()
        (folder / "00000000.safetensors").write_bytes(data)
        found = list(in_parts(context, block, count=6, size=2))
        first = found[0].get("x", torch.empty(0))  # a forger may have chosen another name
        return ABSENT if first.tolist() == [0.0, 1.0] else found

    return [Kind("parts, forged", make, read)]
