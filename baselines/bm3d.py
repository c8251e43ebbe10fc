"""BM3D, in a process of its own: its compiled code can crash, and that must not end a run."""

import json
import os
import subprocess
import sys
import tempfile
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import numpy as np
import torch

from baselines import _bm3d_child
from bench.api import BenchError, Kind, Level, Noise, Trainer, register

CHILD = Path(_bm3d_child.__file__)
ONE_THREAD = {
    f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL", "NUMEXPR", "VECLIB")
}


@register(
    Kind.DENOISER,
    "bm3d",
    source="Dabov et al. 2007; Makinen, Azzari, Foi 2020 (the bm3d package)",
    needs=("bm3d", "bm4d"),  # the second does the work
    note="licensed for non-commercial use only (Tampere University)",
)
class Bm3d:
    """Block matching and 3D filtering with the exact noise level.

    Differs: the authors filter red, green and blue apart; here colour images are filtered together
    in an opponent colour space, as published. Images below 16 pixels a side are mirrored outwards.
    """

    def __init__(self, channels: int = 3, image_size: int = 64, scale: float = 1.0):
        del image_size, scale  # any size, no widths
        if channels not in (1, 3):
            raise BenchError(f"bm3d filters grey or colour images, got {channels} channels")
        self._worker: _Worker | None = None

    def fit(
        self, clean: torch.Tensor, levels: Sequence[Level], trainer: Trainer, seed: int
    ) -> None:
        """Learn nothing."""

    def denoise(self, y: torch.Tensor, level: Level, noise: Noise) -> torch.Tensor:
        """Return the estimates for y [B,1|3,H,W], one after the other.

        Raises:
            BenchError: If the process died or refused an image; the next call starts a new one.
        """
        images = y.detach().cpu().double().permute(0, 2, 3, 1).numpy()
        restored = []
        for i, image in enumerate(images):
            plane = image[..., 0] if image.shape[-1] == 1 else image
            restored.append(self._restore(plane, level.sigma, i).reshape(image.shape))
        return torch.from_numpy(np.stack(restored)).permute(0, 3, 1, 2).to(y).contiguous()

    def _restore(self, image: np.ndarray, sigma: float, index: int) -> np.ndarray:
        if self._worker is None:
            self._worker = _Worker()
        try:
            return self._worker.ask(image, sigma)
        except _Died as death:
            self._worker = None
            raise BenchError(
                f"bm3d's process died ({death}) at image {index} of the batch, shape "
                f"{image.shape}, sigma {sigma:.4g}; the fault lies in its compiled library"
            ) from death


class _Died(Exception):
    """The child ended before it answered."""


class _Worker:
    """One child process, kept warm: importing the library takes longer than a small image."""

    def __init__(self) -> None:
        self._complaints = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(CHILD)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._complaints,
            env={**os.environ, **ONE_THREAD},
        )
        weakref.finalize(self, _stop, self._process, self._complaints)

    def ask(self, image: np.ndarray, sigma: float) -> np.ndarray:
        """Return the restored image.

        Raises:
            _Died: If the child ended instead.
            BenchError: If it refused the image.
        """
        question = json.dumps({"shape": image.shape, "sigma": sigma}).encode() + b"\n"
        try:
            self._process.stdin.write(question + np.ascontiguousarray(image).tobytes())
            self._process.stdin.flush()
        except OSError:
            raise _Died(self._last_words()) from None
        line = self._process.stdout.readline()
        if not line.endswith(b"\n"):
            raise _Died(self._last_words())
        answer = json.loads(line)
        if "error" in answer:
            raise BenchError(f"bm3d refused an image of shape {image.shape}: {answer['error']}")
        data = self._process.stdout.read(image.nbytes)
        if len(data) != image.nbytes:
            raise _Died(self._last_words())
        return np.frombuffer(data, np.float64).reshape(image.shape)

    def _last_words(self) -> str:
        code = self._process.wait()
        self._complaints.seek(0)
        lines = self._complaints.read().decode(errors="replace").strip().splitlines()
        return f"exit code {code}" + (f": {lines[-1]}" if lines else "")


def _stop(process: subprocess.Popen, complaints: IO[bytes]) -> None:
    process.kill()
    process.communicate()
    complaints.close()
