"""A shared store behind fsspec: S3 and its like, Google's, memory; imported where one is named."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from bench.shared.address import Address
from bench.shared.faults import code_of, exists_already, is_passing, line_of

WAITS_S = (0.5, 2.0)
"""Between tries of what may pass; clients have retries of their own below these."""
KEYED = ("s3", "s3a")
"""Protocols that take user and password as options."""
EMPTY = ("InvalidRange", "416")
CREATING = ("s3", "s3a", "gs", "gcs", "memory")
"""Protocols whose `mode="create"` is one step."""

T = TypeVar("T")


@dataclass(frozen=True)
class Remote:
    """Satisfies `bench.shared.objects.Objects`."""

    address: Address
    system: Any
    """An `fsspec.AbstractFileSystem`."""
    root: str
    waits: tuple[float, ...] = WAITS_S

    @classmethod
    def at(cls, address: Address) -> "Remote":
        """Return the store at an address; credentials come from where the client looks for them.

        Raises:
            Missing: If there are none, and the client says so at once.
        """
        import fsspec

        given: dict[str, Any] = {"use_listings_cache": False}
        url = address.whole
        if address.secret and address.protocol in KEYED:
            given["key"], _, given["secret"] = address.secret.partition(":")
            url = address.shown
        try:
            system, root = fsspec.core.url_to_fs(url, **given)
        except Exception as error:
            raise line_of(error, address, "read") from error
        return cls(address, system, root.rstrip("/"))

    @property
    def one_step(self) -> bool:
        """Whether the server itself refuses to put over what is there."""
        return self.address.protocol in CREATING

    def sizes(self, folder: str) -> dict[str, int]:
        """Return name -> bytes of what begins with a folder's name."""
        top = self._path(folder)

        def listed() -> dict[str, int]:
            try:
                found = self.system.find(top, detail=True)
            except FileNotFoundError as error:
                if code_of(error):
                    raise  # there is no bucket
                return {}
            cut = len(top) + 1
            return {
                path.lstrip("/")[cut - (top[0] == "/") :]: int(facts["size"] or 0)
                for path, facts in found.items()
                if facts["type"] == "file"
            }

        return self._tried(listed, "read")

    def size(self, name: str) -> int | None:
        """Return the bytes of an object."""

        def asked() -> int | None:
            try:
                facts = self.system.info(self._path(name))
            except FileNotFoundError:
                return None
            return int(facts["size"] or 0) if facts["type"] == "file" else None

        return self._tried(asked, "read")

    def read(self, name: str, largest: int) -> bytes | None:
        """Return the first bytes of an object, in one request."""

        def got() -> bytes | None:
            try:
                return bytes(self.system.cat_file(self._path(name), start=0, end=largest + 1))
            except FileNotFoundError:
                return None
            except OSError as error:
                if code_of(error) in EMPTY:
                    return b""
                raise

        return self._tried(got, "read")

    def create(self, name: str, content: bytes) -> bool:
        """Put an object unless there is one: the server decides where the protocol has a way."""
        path = self._path(name)

        def put() -> bool:
            if not self.one_step and self.system.exists(path):
                return False
            try:
                if self.one_step:
                    self.system.pipe_file(path, content, mode="create")
                else:
                    self._make_room(name)
                    self.system.pipe_file(path, content)
            except Exception as error:
                if exists_already(error):
                    return False
                raise
            return True

        return self._tried(put, "write")

    def write(self, name: str, content: bytes) -> None:
        """Put an object."""
        self._make_room(name)
        self._tried(lambda: self.system.pipe_file(self._path(name), content), "write")

    def send(self, source: Path, name: str) -> None:
        """Put a file; large ones go in parts."""
        self._make_room(name)
        self._tried(lambda: self.system.put_file(str(source), self._path(name)), "write")

    def fetch(self, name: str, target: Path) -> bool:
        """Write an object to a file."""

        def got() -> bool:
            try:
                self.system.get_file(self._path(name), str(target))
            except FileNotFoundError:
                return False
            return True

        return self._tried(got, "read")

    def remove(self, name: str) -> None:
        """Remove an object."""

        def gone() -> None:
            try:
                self.system.rm_file(self._path(name))
            except FileNotFoundError:
                return

        self._tried(gone, "write")

    def tidy(self) -> None:
        """Do nothing: servers show what is whole, and times that can be compared few of them."""

    def _make_room(self, name: str) -> None:
        """Make the folder of a name, where folders are more than a part of it."""
        if not self.one_step:
            folder = self._path(name).rpartition("/")[0]
            self._tried(lambda: self.system.makedirs(folder, exist_ok=True), "write")

    def _path(self, name: str) -> str:
        return f"{self.root}/{name}"

    def _tried(self, action: Callable[[], T], doing: str) -> T:
        """Do something; what may pass is tried again, a bounded number of times."""
        for wait in (*self.waits, None):
            try:
                return action()
            except Exception as error:  # whatever a client makes of the world
                if wait is None or not is_passing(error):
                    raise line_of(error, self.address, doing) from error
                time.sleep(wait)
        raise AssertionError("unreachable")
