"""What a person names with `--store`: checked before anything is opened, shown without secrets."""

import importlib.util
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from bench.errors import BenchError, Missing
from bench.inputs import printable

EXAMPLES = "s3://bucket/prefix, gs://bucket/prefix or file:///mount/folder"
NEEDED: Mapping[str, tuple[str, str]] = {
    "s3": ("s3fs", 's3fs: pip install "missing-u-bench[shared]"'),
    "s3a": ("s3fs", 's3fs: pip install "missing-u-bench[shared]"'),
    "gs": ("gcsfs", "gcsfs: pip install gcsfs"),
    "gcs": ("gcsfs", "gcsfs: pip install gcsfs"),
}
"""Protocol -> module and words, of those that are named in the documentation."""
FSSPEC = 'fsspec: pip install "missing-u-bench[shared]"'
FOLDER = "file"
HOSTLESS = (FOLDER, "memory")
"""Protocols whose addresses name no bucket and no server."""

_form = re.compile(r"(?P<protocol>[A-Za-z][A-Za-z0-9+.-]*)://(?P<rest>.*)", re.DOTALL).fullmatch


@dataclass(frozen=True)
class Address:
    """Where a shared store is."""

    protocol: str
    secret: str
    """What stands before an `@`, or an empty text; never shown."""
    place: str
    """Bucket or server and path, without a slash at the end."""

    @property
    def shown(self) -> str:
        """The address without secrets, for people, logs and manifests."""
        return f"{self.protocol}://{self.place}"

    def __repr__(self) -> str:
        """Without secrets."""
        return f"Address({self.shown!r})"

    @property
    def whole(self) -> str:
        """The address with all that is needed to open it."""
        return f"{self.protocol}://{self.secret}@{self.place}" if self.secret else self.shown


def parsed(text: str) -> Address:
    """Return an address; nothing is opened.

    Raises:
        BenchError: If it is none, or leads to another place than it shows.
    """
    if text.startswith("/"):
        text = f"{FOLDER}://{text}"
    match = _form(text)
    if match is None:
        raise BenchError(f"--store {_safe(text)}: expected an address such as {EXAMPLES}")
    protocol, rest = match["protocol"].lower(), match["rest"]
    secret, place = "", rest.rstrip("/")
    host, slash, path = rest.partition("/")
    if "@" in host and protocol not in HOSTLESS:
        secret, _, host = host.rpartition("@")
        place = f"{host}{slash}{path}".rstrip("/")
    address = Address(protocol, secret, place)
    fault = _fault(address)
    if fault:
        raise BenchError(f"--store {_safe(text)}: {fault}; expected {EXAMPLES}")
    return address


def refuse_absent_package(address: Address) -> None:
    """Look whether what opens such an address is installed.

    Raises:
        Missing: If a package is not.
        BenchError: If there is no such protocol.
    """
    if address.protocol == FOLDER:
        return
    if importlib.util.find_spec("fsspec") is None:
        raise Missing(f"{address.shown} needs {FSSPEC}")
    module, words = NEEDED.get(address.protocol, ("fsspec", ""))
    if importlib.util.find_spec(module) is None:
        raise Missing(f"{address.shown} needs {words}")
    if not words:
        _refuse_unknown(address)


def _refuse_unknown(address: Address) -> None:
    import fsspec

    try:
        fsspec.get_filesystem_class(address.protocol)
    except ValueError:
        raise BenchError(
            f"--store {address.shown}: fsspec knows no protocol {address.protocol}://; "
            f"expected {EXAMPLES}"
        ) from None
    except ImportError as error:  # whose text names the package
        raise Missing(f"{address.shown}: {printable(error)}") from None


def _fault(address: Address) -> str:
    place = address.place
    if not (place + address.secret).isprintable() or "\\" in place:
        return "it holds characters that no address should"
    if "?" in place or "#" in place:
        return "a query or fragment cannot be kept (and tokens belong in the environment)"
    path = place if address.protocol in HOSTLESS else place.partition("/")[2]
    if any(part in ("..", ".") for part in PurePosixPath(place).parts) or "/./" in f"/{place}/":
        return "it leads elsewhere than it shows"
    if address.protocol in HOSTLESS and not path.strip("/"):
        return "it names no folder"
    if address.protocol == FOLDER and not place.startswith("/"):
        return "a folder is named from the root on, file:///..."
    if address.protocol not in HOSTLESS and not place.partition("/")[0]:
        return "it names no bucket"
    return ""


def _safe(text: str) -> str:
    return printable(without_secrets(text), 200)


_userinfo = re.compile(r"(?<=://)[^/\s]*@")
_query = re.compile(r"(://[^\s?#]*)[?#]\S*")


def without_secrets(text: str) -> str:
    """Return a text in which addresses have no user, password, query or fragment."""
    return _query.sub(r"\1", _userinfo.sub("", text))
