"""The paper's claims, each with what this run measured and a verdict."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.report import claims_costs as costs
from bench.report import claims_denoising as denoising
from bench.report import claims_quality as quality
from bench.report import claims_synthesis as synthesis
from bench.report import claims_tables
from bench.report.again import is_counted
from bench.report.claims_theory import THEORY, is_exact
from bench.report.claims_theory import judge as judge_theory
from bench.report.comparison import Table
from bench.report.evidence import Evidence
from bench.report.finding import Finding
from bench.report.paper import published
from bench.report.rows import RunLike, budget_measured, snapshot
from bench.report.theory import findings
from bench.report.verdicts import Label, Verdict, not_comparable


@dataclass(frozen=True, slots=True)
class Claim:
    """One claim of the paper and what became of it."""

    id: str
    section: str
    sentence: str
    measured: str
    n: str
    verdict: Verdict
    budget: str = "-"
    """Under which the number was measured; "any" where it does not depend on one."""


BOTH = ("ssim", "lpips")
CLAIMS: dict[str, Callable[[RunLike], Evidence]] = {
    "parameters-quarter": costs.parameters_quarter,
    "flops-30": costs.flops,
    "faster": costs.faster,
    "parameters-4x": costs.parameters_4x,
    "parameters-count": costs.parameters_count,
    "memory-smaller": costs.memory,
    "fewer-steps": quality.fewer_steps,
    "time-30": quality.less_time,
    "time-80": quality.least_time,
    "similar-fid": synthesis.similar,
    "compatible": synthesis.compatible,
    "gpu-solvers": synthesis.gpu_solvers,
    "better-denoiser": synthesis.better_denoiser,
    "lpips-cunet": lambda run: quality.restore_direction(run, ("lpips",), "value", -1),
    "ssim-unet": lambda run: quality.restore_direction(run, ("ssim",), "value", -1),
    "restore-fewer-steps": lambda run: quality.restore_direction(run, BOTH, "steps", -1),
    "restore-faster": lambda run: quality.restore_direction(run, BOTH, "time", -1),
    "low-noise-best": lambda run: quality.best_at(run, "cunet", 50, BOTH),
    "high-noise-ssim": lambda run: quality.best_at(run, "unet", 400, ("ssim",)),
    "high-noise-lpips": lambda run: quality.best_at(run, "cunet", 400, ("lpips",)),
    "generalises": denoising.generalises,
    "table4-ranks": denoising.ranks,
    "matches-denoising": denoising.matches,
    "noise-grows": denoising.noise_grows,
    "ssim-psnr": denoising.ssim_psnr,
    "blur-unnatural": denoising.blur,
    "time-embedding": claims_tables.time_embedding,
    "ablation": quality.ablation,
}
"""Claim -> how it is judged; those of the theory are judged by its findings."""
TABLES: dict[str, tuple[str, str | None]] = {
    **{f"{name}-numbers": (name, None) for name in claims_tables.NAMES},
    "table5-memory": ("table5", "mb"),
}
"""Claim -> the table whose numbers it is about, and which of them."""
HEADLINE = (
    *("parameters-quarter", "flops-30", "faster", "converges-faster", "noise-robust"),
    *("compatible", "fewer-steps", "time-30", "lpips-cunet", "time-embedding"),
)
"""The first rows, in this order; all others follow in the paper's own."""
ANY = "any"
FULL_WIDTH = frozenset({"faster", "memory-smaller", "gpu-solvers", "time-embedding", "noise-grows"})
"""What is measured on networks of full width, or on none, in every budget."""


def claims(run: RunLike, tables: Sequence[Table] | None = None) -> list[Claim]:
    """Return the paper's claims with their verdicts, the headlines first.

    Args:
        run: The run.
        tables: Those of the run, where they are made already.
    """
    run = snapshot(run)
    if tables is None:
        from bench.report.tables import TABLES as PAPERS

        tables = [PAPERS[name](run) for name in claims_tables.NAMES]
    words = published("claims").set_index("id")
    decided = findings(run)
    order = [*HEADLINE, *(name for name in words.index if name not in HEADLINE)]
    measured_under = budget_measured(run)
    found = []
    for name in order:
        why = str(words.loc[name, "why"])
        if name in THEORY:
            evidence = judge_theory(run, name, decided)
        else:
            evidence = _evidence(run, name, tables, why=why)
        budget = ANY if _is_free(name, evidence, decided) else measured_under
        found.append(
            Claim(
                name,
                words.loc[name, "section"],
                words.loc[name, "sentence"],
                evidence.measured,
                evidence.n,
                evidence.verdict,
                "-" if evidence.measured == "-" else budget,
            )
        )
    return found


def _evidence(run: RunLike, name: str, tables: Sequence[Table], *, why: str) -> Evidence:
    """Return what decides a claim; one that cannot be tested says why."""
    if why:
        return Evidence("-", "-", not_comparable(f"not tested: {why}"))
    if name in TABLES:
        table, metric = TABLES[name]
        return claims_tables.of(tables, table, metric)
    return CLAIMS[name](run)


def _is_free(name: str, evidence: Evidence, decided: Sequence[Finding]) -> bool:
    """Return whether the budget does not matter: for what is counted, exact, or full width."""
    if name in FULL_WIDTH:
        return evidence.verdict.label is not Label.NOT_COMPARABLE
    return is_counted(name) or is_exact(name, decided)
