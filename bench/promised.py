"""A data set of a plug-in, whose images are looked at before anything is measured on them.

Floats would be divided by 255 as bytes are, and images of another size be measured as if they
were of the one that was asked for: wrong numbers without a word. Its manifest is a part of keys.
"""

from typing import Any

from bench import canonical
from bench.blamed import FAULTS, told
from bench.errors import BenchError


class Promised:
    """What a plug-in built; all of it as it is, but for images that are not what they should be."""

    def __init__(self, name: str, data: Any) -> None:
        """Stand before a data set of that name."""
        self._name, self._data = name, data

    def __getattr__(self, part: str) -> Any:
        """Return a part of the data set."""
        if part == "_data":  # a copy that is being made
            raise AttributeError(part)
        return getattr(self._data, part)

    def manifest(self) -> Any:
        """Return what tells its data from all others.

        Raises:
            BenchError: If it cannot be told, or is no plain value.
        """
        try:
            found = self._data.manifest()
        except FAULTS as error:
            raise BenchError(f"dataset '{self._name}' has no manifest: {told(error)}") from error
        try:
            canonical.dumps(found)
        except (TypeError, ValueError, RecursionError) as error:
            raise BenchError(
                f"dataset '{self._name}': manifest() makes no key ({error}); "
                "expected plain values: texts, numbers, lists and mappings of them"
            ) from error
        return found

    def images(self, split: str) -> Any:
        """Return the images of a split.

        Raises:
            BenchError: If they are no array of bytes [N,C,H,W] of its channels and size, or none.
        """
        images = self._data.images(split)
        size = self._data.image_size
        each = (self._data.channels, size, size)
        dtype = getattr(images, "dtype", type(images).__name__)
        shape = tuple(getattr(images, "shape", ()))
        if str(dtype) != "uint8" or shape[1:] != each or not shape[0]:
            raise BenchError(
                f"dataset '{self._name}' gave {dtype} {list(shape)} for split '{split}', expected "
                f"a numpy array of uint8 [N, {', '.join(map(str, each))}] with N above 0"
            )
        return images
