"""A trained continuous network under many solvers: quality, distance to the solution, evaluations.

The network calls once on noised held-out images. The reference is the solution itself: adaptive
steps at a tolerance of 1e-8 in float64. Besides, images are restored alone: what changes then is
what their neighbours in the batch had to do with it.

One solver that cannot be used is a row with a fault; the others go on.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from bench.api import BenchError, Cell, Context, Invalid, Kind, Outcome, Row, register
from bench.metrics.fidelity import psnr
from bench.parts import in_parts, joined
from bench.tasks.denoisers import trained_denoiser
from bench.tasks.noised import Batch, Noised
from bench.tasks.scoring import summary
from bench.tasks.solved import Called, Continuous, Way, ways_of

REFERENCE = Way("dopri5", tolerance=1e-8)


@register(
    Kind.TASK,
    "solvers",
    source="section 3.1 of the paper, equations 3 and 4; Ott et al. 2021; protocol, Theory",
)
def solvers(cell: Cell, context: Context) -> Outcome:
    """Return a row for each way to solve, and one for each whose neighbours were looked at."""
    dataset = context.build(Kind.DATASET)
    spec = cell.spec
    denoiser = trained_denoiser(cell, context, dataset)
    network = Continuous.of(spec["denoiser"]["name"], denoiser)
    for solver in spec["solver"]:
        context.build(Kind.SOLVER, {"name": solver["name"]})  # one that is not installed says so
    noised = Noised.of(cell, context, dataset)
    study = _Study(
        network, noised, ways_of(spec["solver"]), min(spec["neighbours"], noised.micro_batch)
    )
    return Outcome([{**noised.about(), **study.about, **row} for row in study.rows(context)])


class _Study:
    """One network at one level."""

    def __init__(
        self, network: Continuous, noised: Noised, ways: list[Way], neighbours: int
    ) -> None:
        self.network, self.noised = network, noised
        self.trained = network.trained
        # First, so that a network that cannot be called at all is the cell's own fault.
        self.ways = list(dict.fromkeys([self.trained, *ways]))
        self.first = noised.batch(range(min(noised.micro_batch, len(noised.clean))))
        self.neighbours = min(neighbours, self.first.real)
        self.faults: dict[Way, str] = {}
        self.unsolved = ""
        """Why there is no reference, if there is none."""

    @property
    def about(self) -> Row:
        """The columns of all rows."""
        return {
            "trained_solver": self.trained.solver,
            "trained_steps": self.trained.steps,
            "widths": self.network.widths(),
            "reference_tolerance": REFERENCE.tolerance,
            "batch": self.noised.micro_batch,
        }

    def rows(self, context: Context) -> list[Row]:
        """Measure all of it."""
        whole = self._alone_and_together(context)
        rows: list[Row] = []
        for way in self.ways:
            about = {**way.row, "is_trained": way == self.trained}
            if way in self.faults:
                rows.append({"part": "solver", **about, "fault": f"{way.key}: {self.faults[way]}"})
                continue
            found = {
                name.removeprefix(f"{way.key}/"): value
                for name, value in whole.items()
                if name.startswith(f"{way.key}/")
            }
            rows.append({"part": "solver", **about, **self._solved(found)})
            rows.append({"part": "neighbours", **about, **_coupled(found)})
        return rows

    def _alone_and_together(self, context: Context) -> dict[str, Tensor]:
        size, count = self.noised.micro_batch, len(self.noised.clean)
        reference = joined(in_parts(context, self._reference, count=1, size=1, name="reference"))
        right = reference.get("output")
        self.unsolved = _as_words(reference["fault"]) if right is None else ""

        def together(block: range) -> dict[str, Tensor]:
            return self._together(self.noised.batch(block), right if block.start == 0 else None)

        whole = joined(in_parts(context, together, count=count, size=size, name="together"))
        self._remember_faults(whole)
        alone = in_parts(
            context,
            lambda block: self._alone(block.start, whole),
            count=self.neighbours,
            size=1,
            name="alone",
        )
        return {**whole, **joined(alone)}

    def _reference(self, _: range) -> dict[str, Tensor]:
        """Return the solution of the first batch, or why there is none."""
        exact, level, noise = self.network.exact(), self.noised.level, self.first.noise
        try:
            found = exact.call(REFERENCE, self.first.noisy.double(), level, noise)
        except (Invalid, BenchError, ArithmeticError) as fault:
            return {"fault": _as_bytes(str(fault))}
        return {"output": found.output}

    def _together(self, batch: Batch, right: Tensor | None) -> dict[str, Tensor]:
        """Return what each way makes of a micro-batch: errors, distances, evaluations."""
        made: dict[str, Tensor] = {}
        for way in self.ways:
            found = self._attempt(way, batch)
            if found is None:
                made[f"{way.key}/fault"] = _as_bytes(self.faults[way])
                continue
            score = psnr(found.images.clamp(0, 1), batch.clean)[: batch.real]
            made[f"{way.key}/psnr"] = score
            made[f"{way.key}/nfe"] = torch.tensor([found.nfe])
            made[f"{way.key}/output"] = found.output[: self.neighbours]
            if right is not None:
                made[f"{way.key}/distance"] = relative(found.output, right)[: batch.real]
        return made

    def _attempt(self, way: Way, batch: Batch) -> Called | None:
        """Return what one way gives; its fault is kept, unless it is the network's own."""
        try:
            return self.network.call(way, batch.noisy, self.noised.level, batch.noise)
        except (Invalid, BenchError, ArithmeticError) as fault:
            if way == self.trained:
                raise
            self.faults[way] = " ".join(str(fault).split())
            return None

    def _remember_faults(self, whole: Mapping[str, Tensor]) -> None:
        """Let a way that failed on a batch, perhaps in an earlier attempt, have its first fault."""
        for way in self.ways:
            if (words := whole.get(f"{way.key}/fault")) is not None:
                self.faults[way] = _as_words(words)

    def _alone(self, place: int, whole: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return how far an image restored alone is from itself in the first batch."""
        made: dict[str, Tensor] = {}
        image, level = self.first.noisy[place : place + 1], self.noised.level
        for way in self.ways:
            if way in self.faults:
                continue
            found = self.network.call(way, image, level, self.first.noise)
            beside = whole[f"{way.key}/output"][place : place + 1]
            made[f"{way.key}/coupling"] = relative(found.output, beside)
            made[f"{way.key}/nfe_alone"] = torch.tensor([sum(found.nfe)])
        return made

    def _solved(self, found: Mapping[str, Tensor]) -> Row:
        """Return the row of one way."""
        score, nfe = found["psnr"], found["nfe"].double()
        far = found.get("distance")
        return {
            **summary({"psnr": score}, self.noised.seed),
            "distance": None if far is None else float(far.mean()),
            "distance_per_image": [] if far is None else far.tolist(),
            "unsolved": self.unsolved,
            "nfe": float(nfe.sum(dim=1).mean()),
            "nfe_per_block": nfe.mean(dim=0).tolist(),
            "fault": "",
        }


def _coupled(found: Mapping[str, Tensor]) -> Row:
    """Return how much an image depends on its neighbours."""
    coupling = found["coupling"]
    return {
        "coupling": float(coupling.mean()),
        "coupling_most": float(coupling.max()),
        "coupling_per_image": coupling.tolist(),
        "nfe_together": int(found["nfe"][0].sum()),
        "nfe_alone_per_image": found["nfe_alone"].tolist(),
        "fault": "",
    }


def _as_bytes(words: str) -> Tensor:
    """Return a line as numbers, as parts of a cell are kept."""
    return torch.tensor(list(f"{words}\n".encode()), dtype=torch.uint8)


def _as_words(numbers: Tensor) -> str:
    return bytes(numbers.tolist()).decode().splitlines()[0]


def relative(wrong: Tensor, right: Tensor) -> Tensor:
    """Return the distance of each image's output from another one, relative to its size [B]."""
    wrong, right = wrong.double().flatten(1), right.double().flatten(1)
    return (wrong - right).norm(dim=1) / right.norm(dim=1)
