"""What the parts of the synthetic run share: rows, files and small pictures."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from safetensors.numpy import save_file

SIGMA = {50: 0.0663, 150: 0.1348, 400: 0.3578}
PAIR = ("unet", "cunet")
SIZE = 32


@dataclass
class FakeRun:
    """The three things that a report reads."""

    manifest: dict
    rows: pd.DataFrame
    folder: Path

    def file(self, key: str, name: str) -> Path:
        """Return a file of a record; missing ones raise, as in a store."""
        path = self.folder / key / name
        if not path.is_file():
            raise FileNotFoundError(path)
        return path


class Builder:
    """Collects rows and files."""

    def __init__(self, folder: Path, dataset: str, channels: int, n: int):
        self.folder, self.dataset, self.channels, self.n = folder, dataset, channels, n
        self.rows: list[dict] = []
        self.rng = np.random.default_rng(7)

    def add(self, task: str, key: str, status: str = "ok", reason: str = "", **columns) -> None:
        """Add one row."""
        head = {"key": key, "task": task, "status": status, "reason": reason}
        self.rows.append({**head, "label": columns.pop("label", f"{task} {key}"), **columns})

    def save(self, key: str, name: str, arrays: dict[str, np.ndarray]) -> None:
        """Write a safetensors file of a record."""
        (self.folder / key).mkdir(parents=True, exist_ok=True)
        save_file({k: np.ascontiguousarray(v) for k, v in arrays.items()}, self.folder / key / name)

    def images(self, n: int) -> np.ndarray:
        """Return smooth float images [n,C,H,W] in [0,1]."""
        grid = np.linspace(-1, 1, SIZE)
        y, x = np.meshgrid(grid, grid, indexing="ij")
        out = []
        for _ in range(n):
            cy, cx = self.rng.uniform(-0.3, 0.3, 2)
            radius, width = self.rng.uniform(0.35, 0.6), self.rng.uniform(0.08, 0.16)
            ring = np.exp(-(((np.hypot(y - cy, 1.3 * (x - cx)) - radius) / width) ** 2))
            tint = self.rng.uniform(0.5, 1, (self.channels, 1, 1))
            out.append(np.clip(ring * tint, 0, 1))
        return np.stack(out)


def as_bytes(images: np.ndarray) -> np.ndarray:
    """Return images as uint8."""
    return (np.clip(images, 0, 1) * 255).round().astype(np.uint8)
