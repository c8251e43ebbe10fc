"""A shared store in memory whose every operation can be watched, stopped or broken."""

import errno
from dataclasses import dataclass, field

import pytest

from bench import record as records
from bench.disk import settled
from bench.shared.address import parsed
from bench.shared.depot import Depot
from bench.shared.faults import line_of
from bench.shared.sharing import Shared
from bench.store import Store


class Killed(BaseException):
    """Stands for a kill -9: nothing that comes after it is done."""


@dataclass
class Bytes:
    """Satisfies `Objects`; `before` is called with each operation's name, and may raise."""

    there: dict = field(default_factory=dict)
    before: object = lambda operation, name: None
    one_step: bool = True
    address: object = field(default_factory=lambda: parsed("memory://lab"))

    def _do(self, operation, name):
        try:
            self.before(operation, name)
        except OSError as error:
            raise line_of(error, self.address, "write") from error

    def sizes(self, folder):
        self._do("sizes", folder)
        cut = len(folder) + 1
        return {n[cut:]: len(c) for n, c in self.there.items() if n.startswith(f"{folder}/")}

    def size(self, name):
        self._do("size", name)
        return len(self.there[name]) if name in self.there else None

    def read(self, name, largest):
        self._do("read", name)
        return self.there[name][: largest + 1] if name in self.there else None

    def create(self, name, content):
        if not self.one_step:
            self._do("look", name)
            if name in self.there:
                return False
            self._do("put", name)
        else:
            self._do("create", name)
            if name in self.there:
                return False
        self.there[name] = content
        return True

    def write(self, name, content):
        self._do("write", name)
        self.there[name] = content

    def send(self, source, name):
        self._do("send", name)
        self.there[name] = source.read_bytes()

    def fetch(self, name, target):
        self._do("fetch", name)
        if name not in self.there:
            return False
        target.write_bytes(self.there[name])
        return True

    def remove(self, name):
        self._do("remove", name)
        self.there.pop(name, None)

    def tidy(self):
        pass


def record_of(key, files=None, **more):
    return {
        "key": key, "task": "toy", "label": "toy", "status": "ok", "reason": "", "spec": {},
        "rows": [{"value": 1}], "files": files or {}, "uses": [], "timing": False,
        "made": {}, **more,
    }  # fmt: skip


class World:
    """What tests build with."""

    Bytes, Killed, KEY = Bytes, Killed, "a" * 64
    record_of = staticmethod(record_of)

    @staticmethod
    def full(operation, name):
        raise OSError(errno.ENOSPC, "no space")

    @staticmethod
    def after(count, fault):
        """Return what raises once so many operations were done."""
        done = []

        def before(operation, name):
            if len(done) == count:
                raise fault
            done.append(operation)

        return before

    @staticmethod
    def made(folder, key, value, content="one"):
        """Return a record's bytes and its file, as a cell made them."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "number.txt"
        path.write_text(content)
        facts = settled(path)
        one = record_of(key, {"number.txt": facts}, rows=[{"value": value}])
        return records.written(one), {"number.txt": (path, facts)}

    @staticmethod
    def kept(store, value=1, content="one", key="a" * 64):
        """Keep a record with a file in a local store."""
        store.prepare()
        made = store.work(key)
        made.mkdir(exist_ok=True)
        (made / "number.txt").write_text(content)
        return store.replace(record_of(key, rows=[{"value": value}]), made, ["number.txt"])

    @staticmethod
    def shared(objects):
        """Open a fake store as a run does."""
        shared = Shared(Depot(objects), "memory://lab")
        shared.depot.note = shared._note
        shared.depot.look_around()
        return shared

    @staticmethod
    def local(folder, shared=None):
        store = Store(folder, shared)
        store.prepare()
        return store

    @staticmethod
    def is_whole(there, key="a" * 64):
        """Return whether a record is valid and its files are there, byte for byte."""
        import hashlib

        record, _ = records.read(there[f"cells/{key}.json"], key)
        return record is not None and all(
            hashlib.sha256(there.get(f"blobs/{f['sha256']}", b"")).hexdigest() == f["sha256"]
            for f in record["files"].values()
        )


@pytest.fixture(scope="session")
def world():
    return World
