"""Both trees side by side: which benchmarks each has, and what each answers."""

import fnmatch
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from bench.inputs import printable
from bench.regression.judge import Side
from bench.regression.tree import Absent, Fault, Listed, Tree

SUITE = "asv_bench"


@dataclass(frozen=True, slots=True)
class Trees:
    """Both trees' processes, with what can be asked of them."""

    base: Tree
    head: Tree
    listed: Mapping[str, Mapping[str, Listed]]
    """By tree, then by name."""
    broken: Mapping[str, Mapping[str, str]]
    """Modules of the suite that a tree cannot import, and why; "" stands for all."""

    def __iter__(self) -> Iterator[Tree]:
        return iter((self.base, self.head))

    def chosen(self, only: str | None) -> list[Listed]:
        """Return the benchmarks of either tree, head's first."""
        both = {**self.listed[self.head.label], **self.listed[self.base.label]}
        order = [*self.listed[self.head.label], *self.listed[self.base.label]]
        names = [name for name in dict.fromkeys(order) if fnmatch.fnmatchcase(name, only or "*")]
        return [both[name] for name in names]

    def lacking(self, tree: Tree, name: str) -> Side | None:
        """Return why a tree does not have a benchmark; None where it has it."""
        if name in self.listed[tree.label]:
            return None
        module = name.partition(".")[0]
        broken = self.broken[tree.label]
        reason = broken.get("") or broken.get(module)
        if reason is None:
            return Side(reason="no such benchmark")
        return Side(reason=f"{module} cannot be imported: {printable(reason, 160)}", failed=True)


def both_listed(base: Tree, head: Tree) -> Trees:
    """Ask both trees for their benchmarks; one whose process ends over it has none."""
    listed: dict[str, dict[str, Listed]] = {}
    broken: dict[str, dict[str, str]] = {}
    for tree in (base, head):
        try:
            listed[tree.label], broken[tree.label] = tree.listed()
        except Fault as fault:
            listed[tree.label], broken[tree.label] = {}, {"": str(fault)}
    return Trees(base, head, listed, broken)


def notes(trees: Trees) -> Iterator[str]:
    """Yield which modules of the suite a tree cannot import, and why."""
    for label, broken in trees.broken.items():
        for module, reason in sorted(broken.items()):
            what = f"{SUITE}/{module}.py" if module else SUITE
            yield f"{what} cannot be imported at {label}: {printable(reason, 200)}"


def once(trees: Trees, tree: Tree, one: Listed) -> Side:
    """Measure, in one tree, a benchmark of a kind that is measured once."""
    return trees.lacking(tree, one.name) or asked_of(tree, one.kind, name=one.name)


def asked_of(tree: Tree, do: str, **about: object) -> Side:
    """Return a tree's answer as a side with one sample."""
    try:
        return Side((tree.ask(do, **about),))
    except Absent as absent:
        return Side(reason=str(absent))
    except Fault as fault:
        return Side(reason=str(fault), failed=True)
