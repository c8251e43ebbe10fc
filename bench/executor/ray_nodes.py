"""The nodes of a cluster that measure cells: inspected once each, known as long as they live."""

import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench import canonical, provenance
from bench.errors import BenchError
from bench.executor import fitness
from bench.executor.fitness import Facts
from bench.executor.needs import Needs, Offer
from bench.executor.ray_cluster import Cluster
from bench.inputs import printable

EVERY_S = 2.0
CLOSE_S = 5.0
"""Longest wait for the thread that looks: Ray may not answer it any more."""


@dataclass
class Nodes:
    """Which nodes are fit. A node that joins while cells run is looked at before it gets any."""

    _cluster: Cluster
    _ours: Facts
    _facts: dict[str, Facts | None] = field(default_factory=dict)
    """Of each node that was looked at; None where it is not fit."""
    _notes: list[str] = field(default_factory=list)
    _alive: list[Offer] = field(default_factory=list)
    store: Path | None = None
    """The run's folder, where nodes must see it."""
    excluded: str = ""
    """Why the last node that was excluded was, if any was."""
    _timed_on: Mapping[str, Any] | None = None
    _over: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    @classmethod
    def of(cls, cluster: Cluster) -> "Nodes":
        """Look at all nodes of a cluster, and keep looking for new ones.

        Raises:
            BenchError: If a node differs from this machine in what decides numbers.
        """
        nodes = cls(cluster, {"machine": provenance.machine()} if cluster.own else {})
        nodes._alive = cluster.offers()
        useful = [offer for offer in nodes._alive if offer.timing and offer.cpus]
        if not useful:
            raise BenchError(
                "no node of the cluster offers CPUs and the resource 'timing'; start each with "
                "--resources='{\"timing\": 1}'"
            )
        if cluster.own:
            nodes._facts = {offer.node: nodes._ours for offer in useful}
            return nodes
        asked = [(offer, cluster.ask(fitness.facts, offer.node)) for offer in useful]
        nodes._ours = fitness.facts()  # meanwhile
        for offer, task in asked:
            told, fault = nodes._told(task)
            if fault:
                raise BenchError(
                    f"node {offer.name} cannot be used: {fault}; install the same there as here"
                )
            nodes._facts[offer.node] = told
        nodes._compare_clocks(useful)
        nodes._thread = threading.Thread(target=nodes._follow, daemon=True)
        nodes._thread.start()
        return nodes

    def fit(self) -> list[Offer]:
        """Return the living nodes that measure as this machine would."""
        return [offer for offer in self._alive if self._facts.get(offer.node) is not None]

    def room(self, needs: Needs) -> int:
        """Return how many cells with these needs all of them measure at once."""
        return sum(offer.room(needs) for offer in self.fit())

    def sharing(self, needs: Needs) -> dict[str, int]:
        """Return among how many cells each node's memory is shared."""
        return {offer.node: max(1, offer.room(needs)) for offer in self.fit()}

    def able(self, nodes: list[str]) -> bool:
        """Return whether any of these nodes lives."""
        return not {offer.node for offer in self._alive}.isdisjoint(nodes)

    def exclude(self, node: str, why: str) -> None:
        """Give a node no more cells."""
        if self._facts.get(node) is None:
            return
        self._facts[node] = None
        name = next((offer.name for offer in self._alive if offer.node == node), node)
        self.excluded = f"node {name}: {why}"
        _note(f"node {name} gets no more cells: {why}")

    def timed_on(self, needs: Needs) -> Mapping[str, Any]:
        """Return the machine of timing cells: like this one, or else the first of the nodes'.

        Once told it stays: timings are filed under it.
        """
        if self._timed_on is None:
            ours = provenance.machine()
            found = [self._machine(offer) for offer in self.fit() if offer.room(needs)]
            self._timed_on = (
                ours if ours in found else min(found, key=canonical.dumps, default=ours)
            )
        return self._timed_on

    def for_timing(self, needs: Needs) -> list[Offer]:
        """Return the nodes that are such a machine."""
        machine = self.timed_on(needs)
        return [o for o in self.fit() if o.room(needs) and self._machine(o) == machine]

    def asked(self, function: Callable[..., Any], *told: Any) -> list[tuple[str, Any]]:
        """Return each node's name, and what a function returns there.

        Raises:
            BenchError: If a node gives no answer.
        """
        tasks = [(o.name, self._cluster.ask(function, o.node, *told)) for o in self.fit()]
        answers = []
        for name, task in tasks:
            answer, fault = self._answer(task)
            if fault:
                raise BenchError(f"node {name} cannot be used: {fault}; see that it is up")
            answers.append((name, answer))
        return answers

    def words(self, needs: Needs) -> list[str]:
        """Return what there is, and what runs where, for people."""
        fit = self.fit()
        cpus, gpus = sum(offer.cpus for offer in fit), sum(offer.gpus for offer in fit)
        web = self._cluster.dashboard
        board = f"dashboard at {web}" if web else "dashboard off"
        nodes = f"{len(fit)} node{'s' * (len(fit) != 1)}"
        told = [nodes, f"{cpus:g} CPUs", f"{gpus:g} GPUs", board]
        unused = len(self._alive) - len(fit)
        told += [f"{unused} more without CPUs or the resource 'timing'"] if unused else []
        timing = len(self.for_timing(needs))
        where = f"timings on {timing} of them, one at a time on each" if timing else "no timings"
        return [f"--executor ray: {', '.join(told)}; {where}", *self._notes]

    def close(self) -> None:
        """Stop looking."""
        self._over.set()
        if self._thread is not None:
            self._thread.join(CLOSE_S)
            self._thread = None

    def _machine(self, offer: Offer) -> Any:
        return (self._facts.get(offer.node) or {}).get("machine")

    def _told(self, task: Any) -> tuple[Facts, str]:
        """Return a node's facts, and why it is not fit (empty where it is)."""
        facts, fault = self._answer(task)
        return facts, fault or fitness.difference(self._ours, facts)

    def _answer(self, task: Any) -> tuple[Any, str]:
        try:
            return self._cluster.answer(task), ""
        except Exception as error:  # Ray has many
            cause = getattr(error, "cause", None) or error
            said = printable(" ".join(str(cause).split()), 200)
            return {}, f"{type(cause).__name__}: {said}"

    def _compare_clocks(self, offers: list[Offer]) -> None:
        for offer in offers:
            sent = time.time()
            theirs, fault = self._answer(self._cluster.ask(fitness.now, offer.node))
            note = "" if fault else fitness.clock_note(offer.name, theirs, sent, time.time())
            self._notes += [note] if note else []

    def _follow(self) -> None:
        while not self._over.wait(EVERY_S):
            try:
                before, self._alive = self.fit(), self._cluster.offers()
                self._look_at_new()
            except Exception:  # the cluster is being left, or does not answer at the moment
                continue
            if not self._over.is_set():
                for offer in (offer for offer in before if not self.able([offer.node])):
                    _note(f"node {offer.name} is gone; its cells begin again on another")

    def _look_at_new(self) -> None:
        for offer in self._alive:
            if offer.node in self._facts or not (offer.timing and offer.cpus):
                continue
            told, fault = self._told(self._cluster.ask(fitness.facts, offer.node))
            fault = fault or self._store_fault(offer)
            self._facts[offer.node] = None if fault else told
            if fault:
                _note(f"node {offer.name} joined and gets no cells: {fault}")

    def _store_fault(self, offer: Offer) -> str:
        """Return why a node cannot use the run's folder; an empty text where it can."""
        if self.store is None:
            return ""
        path, token = fitness.token_file(self.store)
        try:
            task = self._cluster.ask(fitness.store_fault, offer.node, str(path), token)
            said, fault = self._answer(task)
        finally:
            path.unlink(missing_ok=True)
        return fault or (f"{self.store} {said}" if said else "")


def _note(text: str) -> None:
    print(f"bench: note: {text}", file=sys.stderr)
