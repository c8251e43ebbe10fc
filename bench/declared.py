"""What plug-ins say of themselves."""

from bench.api import ENTRIES, Kind, Property


def declared(kind: Kind, name: str) -> frozenset[Property]:
    """Return the properties that a plug-in says it lacks; none of one that is not registered.

    Args:
        kind: Its kind.
        name: Its name; options, and what stands after a colon, are not looked at.
    """
    entry = ENTRIES.get((kind, name.partition(":")[0].partition("+")[0]))
    return entry.lacks if entry else frozenset()
