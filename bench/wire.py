"""Cells on their way to a worker: a list in which each cell stands once, after what it uses."""

from typing import Any

from bench.api import Cell


def data_of(cell: Cell) -> list[dict[str, Any]]:
    """Return a cell, and all that it uses at any depth, as plain values; the cell comes last.

    A cell that several use stands once, so the list grows with the cells and not with the paths.
    """
    place: dict[int, int] = {}
    listed: list[dict[str, Any]] = []
    todo = [(cell, False)]
    while todo:
        current, used_are_in = todo.pop()
        if id(current) in place:
            continue
        if not used_are_in:
            todo.append((current, True))
            todo.extend((used, False) for used in reversed(current.uses))
            continue
        place[id(current)] = len(listed)
        listed.append(
            {
                "task": current.task,
                "spec": current.spec,
                "uses": [place[id(used)] for used in current.uses],
                "timing": current.timing,
            }
        )
    return listed


def cell_of(listed: list[dict[str, Any]]) -> Cell:
    """Return the cell that `data_of` listed."""
    made: list[Cell] = []
    for data in listed:
        uses = tuple(made[index] for index in data["uses"])
        made.append(Cell(data["task"], data["spec"], uses, data["timing"]))
    return made[-1]
