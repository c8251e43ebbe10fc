"""What the test sets share: a folder of whole pictures, as they are, without resizing."""

import functools
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from bench import assets
from bench.api import BenchError, Missing
from bench.data import _pictures
from bench.data._files import Folder
from bench.inputs import printable

PLACE = "denoise"
"""Below a data folder; the set's own folder may also lie in the data folder itself."""
ORIGIN = "github.com/cszn/FFDNet, folder testsets"
"""Where the authors of DnCNN and FFDNet keep the files that their tables are about."""


class FolderSet:
    """Whole pictures of a folder, in the order of their names.

    Attributes:
        name: What a person types.
        folder: The folder's usual name.
        channels: 1, then every picture must be grey, or 3.
        count: Pictures in the published set.
        licence: Of the pictures.
        pixels: sha256 of the published pictures as they are decoded, in order.
    """

    name: ClassVar[str]
    folder: ClassVar[str]
    channels: ClassVar[int]
    count: ClassVar[int]
    licence: ClassVar[str]
    pixels: ClassVar[str]

    @property
    def same_data(self) -> bool:
        """Whether these are, pixel for pixel, the published pictures."""
        return self._same

    def pictures(self) -> Sequence[np.ndarray]:
        """Return the pictures, uint8 [C,H,W] each, in the order of their names."""
        return self._decoded

    def manifest(self) -> Mapping[str, Any]:
        """Return what identifies the files."""
        surveyed = _pictures.survey(self._source)
        return {
            "name": self.name,
            "channels": self.channels,
            "files": {"pictures": surveyed.sha256},
            "counts": {"test": len(self._source.names)},
            "sizes": surveyed.sizes,
        }

    @functools.cached_property
    def _source(self) -> Folder:
        source = Folder(self._place)
        if not source.names:
            raise BenchError(
                f"{self.name}: {printable(self._place)} holds no pictures; expected {self.count} "
                f"PNG files ({ORIGIN}/{self.folder})"
            )
        return source

    @property
    def _place(self) -> Path:
        try:
            return assets.locate(self.name, f"{PLACE}/{self.folder}", self.folder)
        except Missing as error:
            from_where = f"its {self.count} pictures are at {ORIGIN}/{self.folder}"
            raise Missing(f"{error}, {from_where}") from None

    @functools.cached_property
    def _decoded(self) -> tuple[np.ndarray, ...]:
        names = self._source.names
        found = _pictures.pictures(self._source, names)
        return tuple(
            self._planes(name, np.asarray(picture))
            for name, picture in zip(names, found, strict=True)
        )

    @functools.cached_property
    def _same(self) -> bool:
        content = hashlib.sha256()
        for picture in self._decoded:
            content.update(f"{picture.shape}\0".encode())
            content.update(picture.tobytes())
        return content.hexdigest() == self.pixels

    def _planes(self, name: str, picture: np.ndarray) -> np.ndarray:
        """Return a decoded picture [H,W,3] as [C,H,W]; a grey one has three equal planes.

        Raises:
            BenchError: If a picture of a grey set has colours.
        """
        planes = np.ascontiguousarray(picture.transpose(2, 0, 1))
        if self.channels == 3:
            return planes
        if not (planes == planes[:1]).all():
            raise BenchError(
                f"{self.name}: {printable(self._place / name)} is a colour picture, expected grey "
                f"ones; take the files of {ORIGIN}/{self.folder}"
            )
        return planes[:1].copy()
