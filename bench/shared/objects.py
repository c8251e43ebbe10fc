"""What the protocol needs of a place that holds named bytes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from bench.shared.address import FOLDER, Address, parsed, refuse_absent_package


class Objects(Protocol):
    """Named bytes below one address; names are relative, with slashes.

    Every method raises StorageError, or Missing where credentials are.
    """

    @property
    def address(self) -> Address:
        """Where it is."""
        ...

    @property
    def one_step(self) -> bool:
        """Whether `create` looks and puts in one step, so that of two only one puts."""
        ...

    def sizes(self, folder: str) -> Mapping[str, int]:
        """Return name below a folder -> bytes, of all that is in it; empty where there is none."""
        ...

    def size(self, name: str) -> int | None:
        """Return the bytes of one, or None where there is none."""
        ...

    def read(self, name: str, largest: int) -> bytes | None:
        """Return the bytes of one, `largest + 1` at most, or None where there is none."""
        ...

    def create(self, name: str, content: bytes) -> bool:
        """Put one where there is none, in one step; return whether there was none."""
        ...

    def write(self, name: str, content: bytes) -> None:
        """Put one, instead of what is there."""
        ...

    def send(self, source: Path, name: str) -> None:
        """Put a file, instead of what is there."""
        ...

    def fetch(self, name: str, target: Path) -> bool:
        """Write one to a new file; return whether there was one."""
        ...

    def remove(self, name: str) -> None:
        """Remove one, or nothing where there is none."""
        ...

    def tidy(self) -> None:
        """Remove what killed processes left half written, where that can be."""
        ...


def opened(text: str) -> Objects:
    """Return what an address holds; it may not be there.

    Raises:
        BenchError: If it is no address, or a package is missing.
    """
    address = parsed(text)
    refuse_absent_package(address)
    if address.protocol == FOLDER:
        from bench.shared.folder import Folder

        return Folder(address)
    from bench.shared.remote import Remote

    return Remote.at(address)
