"""Whether the Ray node that the driver is attached to lives: without it no answer arrives.

It is asked at its port and not through Ray, whose calls may wait for ever once it is dead.
"""

import socket
import threading
import time
from dataclasses import dataclass, field
from typing import Any

KNOCK_S = 2.0
"""Longest wait at the port; also between two knocks."""
AGAIN_S = 0.2
"""A port that refuses is knocked at once more, so much later."""


@dataclass
class Home:
    """The driver's own node; any thread may ask for it."""

    host: str
    port: int
    _gone: bool = field(default=False, init=False)
    _asked: float = field(default=float("-inf"), init=False)
    _asking: threading.Lock = field(default_factory=threading.Lock, init=False)

    @classmethod
    def of(cls, ray: Any) -> "Home | None":
        """Return the node that this process is attached to; None where Ray does not name it."""
        ours = ray.get_runtime_context().get_node_id()
        for one in ray.nodes():
            if one["NodeID"] == ours and one.get("NodeManagerPort"):
                return cls(one["NodeManagerAddress"], one["NodeManagerPort"])
        return None

    def is_gone(self, *, now: bool = False) -> bool:
        """Return whether nothing listens at its port any more; what is gone stays gone.

        Args:
            now: Whether an answer of a moment ago is too old.
        """
        with self._asking:
            if not self._gone and (now or time.monotonic() - self._asked > KNOCK_S):
                self._gone = self._refuses()
                if self._gone:
                    time.sleep(AGAIN_S)
                    self._gone = self._refuses()
                self._asked = time.monotonic()
            return self._gone

    def _refuses(self) -> bool:
        """Return whether the port is closed; one that is slow to answer is not."""
        try:
            socket.create_connection((self.host, self.port), timeout=KNOCK_S).close()
        except ConnectionRefusedError:
            return True
        except OSError:
            return False
        return False
