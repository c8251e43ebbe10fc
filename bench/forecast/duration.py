"""Numbers of seconds, bytes and images as a person says them."""

MINUTE, HOUR = 60.0, 3600.0


def duration(seconds: float) -> str:
    """Return a number of seconds as a person says it: 40 s, 3 min, 5.2 h, 12 days."""
    if seconds < 1.5 * MINUTE:
        return f"{seconds:.0f} s"
    if seconds < 1.5 * HOUR:
        return f"{seconds / MINUTE:.0f} min"
    if seconds < 48 * HOUR:
        return f"{seconds / HOUR:.1f} h"
    days = seconds / HOUR / 24
    return f"{days:.1f} days" if days < 10 else f"{days:.0f} days"


def size(count: float) -> str:
    """Return a number of bytes as a person says it: 40 kB, 3.0 MB, 5.2 GB."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if count < 1000 or unit == "TB":
            return f"{count:.0f} {unit}" if unit in ("B", "kB") else f"{count:.1f} {unit}"
        count /= 1000
    raise AssertionError


def number(count: float) -> str:
    """Return a large number in two digits: 0, 512, 64e6."""
    return f"{count:.0f}" if count < 1000 else f"{count:.2g}".replace("e+0", "e").replace("e+", "e")
