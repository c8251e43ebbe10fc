"""What can be set: every setting with its meaning and its value under each budget."""

import ast
import inspect
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from bench.budget import BUDGETS, FIXED, Budget
from bench.errors import unknown
from bench.inputs import printable
from bench.settings import Settings
from bench.settings_file import items

INTRODUCTION = """# Settings

What `--set name=value` and a file of settings (`--settings FILE`, TOML) may change, and what the
budgets are made of. `python -m bench settings --markdown` wrote this page; without the option it
prints the same in a terminal. `plan` says what a run with them costs. A budget with other settings
is another budget: tables name those that were changed, and compare no printed number with theirs.
"""


@dataclass(frozen=True)
class Told:
    """One setting."""

    name: str
    """Dotted: `train.updates`."""
    meaning: str
    values: dict[str, str]
    """Budget -> value, as `--set` takes it."""

    @property
    def group(self) -> str:
        """What comes before the last dot; "" for those of the run as a whole."""
        return self.name.rpartition(".")[0]


def told(prefixes: Sequence[str] = ()) -> list[Told]:
    """Return the settings, in the order in which they are declared.

    Args:
        prefixes: Names of settings, or of groups of them; all, where there is none.

    Raises:
        BenchError: If one of those names is none.
    """
    known = {name: dict(items(budget.model_dump())) for name, budget in BUDGETS.items()}
    every = [
        Told(name, meaning, {budget: _shown(values[name]) for budget, values in known.items()})
        for name, meaning in _meanings(Budget, "")
        if name not in FIXED
    ]
    names = [one.name for one in every]
    for prefix in prefixes:
        if not any(_is_of(name, prefix) for name in names):
            groups = [one.group for one in every if one.group]
            raise unknown("setting", printable(prefix, 100), sorted({*names, *groups}))
    return [one for one in every if not prefixes or any(_is_of(one.name, p) for p in prefixes)]


def _is_of(name: str, prefix: str) -> bool:
    return name == prefix or name.startswith(f"{prefix}.")


def _meanings(group: type[Settings], prefix: str) -> Iterator[tuple[str, str]]:
    """Yield the dotted name and the meaning of every setting of a class and its groups."""
    meanings = _docstrings(group)
    for name, field in group.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Settings):
            yield from _meanings(field.annotation, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", meanings.get(name, "")


def _docstrings(group: type[Settings]) -> dict[str, str]:
    """Return attribute -> the text below it in the source, on one line."""
    (declared,) = ast.parse(textwrap.dedent(inspect.getsource(group))).body
    body = declared.body if isinstance(declared, ast.ClassDef) else []
    found = {}
    for one, after in pairwise(body):
        if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name):
            text = after.value if isinstance(after, ast.Expr) else None
            if isinstance(text, ast.Constant) and isinstance(text.value, str):
                found[one.target.id] = " ".join(text.value.split())
    return found


def _shown(value: Any) -> str:
    """Return a value as `--set` takes it."""
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)


def meaning_of(group: str) -> str:
    """Return what a group of settings is for."""
    if not group:
        return "The run as a whole."
    return " ".join((type(getattr(BUDGETS["paper"], group)).__doc__ or "").split())


def page() -> str:
    """Return all settings as a page of Markdown."""
    every = told()
    parts = [INTRODUCTION]
    for group in dict.fromkeys(one.group for one in every):
        parts.append(f"\n## {group or 'Run'}\n\n{meaning_of(group)}\n\n")
        parts.append(f"| Setting | {' | '.join(f'`{name}`' for name in BUDGETS)} | Meaning |\n")
        parts.append(f"|---|{'---|' * len(BUDGETS)}---|\n")
        for one in every:
            if one.group == group:
                values = " | ".join(_in_cell(value) for value in one.values.values())
                parts.append(f"| `{one.name}` | {values} | {one.meaning} |\n")
    return "".join(parts)


def _in_cell(value: str) -> str:
    return f"`{value}`".replace(",", "`, `") if value else "-"
