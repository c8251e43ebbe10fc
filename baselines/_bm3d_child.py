"""The process in which BM3D runs: images come in on standard input, restored ones go out.

Started as a script, so that it depends on nothing but numpy and bm3d. Each message is one line of
JSON (shape, sigma; or error) followed by the float64 pixels [H,W] or [H,W,3].
"""

import json
import os
import sys
from typing import BinaryIO

import numpy as np

WINDOW = 16
"""Smallest side that is filtered as it is; below, BM3D finds no blocks (and may crash)."""


def padded(image: np.ndarray) -> tuple[np.ndarray, tuple[slice, slice]]:
    """Return the image, mirrored outwards to at least 16 pixels a side, and where it lies."""
    before = [max(0, WINDOW - side) // 2 for side in image.shape[:2]]
    after = [max(0, WINDOW - side) - b for side, b in zip(image.shape[:2], before, strict=True)]
    widths = [*zip(before, after, strict=True), *[(0, 0)] * (image.ndim - 2)]
    rows, columns = (slice(b, b + side) for b, side in zip(before, image.shape[:2], strict=True))
    return np.pad(image, widths, mode="symmetric"), (rows, columns)


def restore(image: np.ndarray, sigma: float) -> np.ndarray:
    """Return the BM3D estimate of an image [H,W] or [H,W,3] on the [0, 1] scale."""
    import bm3d

    profile = bm3d.BM3DProfile()
    profile.num_threads = 1  # with more, results differ in the last digits
    larger, inside = padded(image)
    method = bm3d.bm3d if image.ndim == 2 else bm3d.bm3d_rgb
    return np.asarray(method(larger, sigma, profile), dtype=np.float64)[inside].reshape(image.shape)


def serve(requests: BinaryIO, replies: BinaryIO) -> None:
    """Answer requests until there are no more."""
    while line := requests.readline():
        asked = json.loads(line)
        shape = tuple(asked["shape"])
        data = requests.read(8 * int(np.prod(shape)))
        try:
            restored = restore(np.frombuffer(data, np.float64).reshape(shape), asked["sigma"])
        except Exception as error:  # told to the other side, which raises
            answer, data = {"error": f"{type(error).__name__}: {error}"}, b""
        else:
            answer, data = {"shape": shape}, np.ascontiguousarray(restored).tobytes()
        replies.write(json.dumps(answer).encode() + b"\n" + data)
        replies.flush()


def main() -> None:
    """Keep standard output for replies; what the library prints goes to standard error."""
    with os.fdopen(os.dup(1), "wb") as replies:
        os.dup2(2, 1)
        serve(sys.stdin.buffer, replies)


if __name__ == "__main__":
    main()
