"""What the settler of a run asks of a shared store, and the answers where there is none."""

from typing import Protocol

from bench.record import Record
from bench.store import Store

BLOBS = "blobs"
"""In an answer: name -> sha256 and bytes, where the files are in the shared store already."""


class Sharing(Protocol):
    """What the settler of a run asks."""

    @property
    def address(self) -> str | None:
        """What the places where cells are measured open; None where nothing is shared."""
        ...

    def known(self, store: Store, key: str, *, read: bool, again: bool = False) -> Record | None:
        """Return a record that others made and that can be taken over.

        Args:
            store: The local one; files come here where they are read.
            key: Of a cell.
            read: Whether a cell will read its files: then they are fetched and hashed, and the
                key's lock must be held.
            again: Whether to ask anew; another machine may have made it meanwhile.
        """
        ...

    def offered(self, store: Store, record: Record) -> Record | None:
        """Put a known record that others lack; return None where it is not here yet itself."""
        ...

    def taken_over(self, store: Store, record: Record) -> Record:
        """Return a known record once it is here; the key's lock must be held."""
        ...

    def given(self, store: Store, record: Record, *, replace: bool) -> Record:
        """Put a record that was just kept; return it, or another's that was there first."""
        ...

    def drop_parts(self, key: str) -> None:
        """Remove half-done work of a cell that places apart have put."""
        ...


class Unshared:
    """Nothing is shared."""

    address: str | None = None

    def known(self, store: Store, key: str, *, read: bool, again: bool = False) -> Record | None:
        """Return nothing."""
        return None

    def offered(self, store: Store, record: Record) -> Record | None:
        """Return the record."""
        return record

    def taken_over(self, store: Store, record: Record) -> Record:
        """Return the record."""
        return record

    def given(self, store: Store, record: Record, *, replace: bool) -> Record:
        """Return the record."""
        return record

    def drop_parts(self, key: str) -> None:
        """Do nothing."""
