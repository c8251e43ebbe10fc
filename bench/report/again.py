"""The command that measures a part of a run again: the run's own, asked for less."""

import glob
import itertools
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from bench.report.names import PAIR
from bench.report.rows import RunLike

FLAGS = ("--fresh", "--offline", "--json", "--quiet", "-q")
"""Options without a value; all others have one."""
LEFT_OUT = ("--out", "--only", "--workers", "--fresh", "--json", "--quiet", "-q")
"""Options of a run that another one need not have."""
RUN = ("python", "-m", "bench", "run")
TABLE4 = ("table4", "")
ADJOINT = ("theory", "theory adjoint*")
COUNTED, TIMED = ("table5", "cost*"), ("table5", "latency*")
CLAIMS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        **dict.fromkeys(("parameters-quarter", "parameters-4x", "parameters-count"), COUNTED),
        **dict.fromkeys(("flops-30", "table5-numbers", "table5-memory"), COUNTED),
        **{
            "faster": TIMED,
            "memory-smaller": ("table5", ""),
            "noise-grows": ("figures", "ladder*"),
        },
        **{"compatible": ("samplers", ""), "gpu-solvers": ("speed", "")},
        **dict.fromkeys(("fewer-steps", "similar-fid", "time-30", "time-80"), ("table1", "")),
        **dict.fromkeys(("ablation", "table1-numbers"), ("table1", "")),
        **dict.fromkeys(("ssim-unet", "lpips-cunet"), ("table2", "")),
        **dict.fromkeys(("matches-denoising", "table2-numbers"), ("table2", "")),
        **dict.fromkeys(("restore-fewer-steps", "restore-faster"), ("table3", "")),
        **{"table3-numbers": ("table3", ""), "blur-unnatural": ("figures", "")},
        **dict.fromkeys(("low-noise-best", "high-noise-ssim", "high-noise-lpips"), TABLE4),
        **dict.fromkeys(("generalises", "table4-ranks", "table4-numbers", "ssim-psnr"), TABLE4),
        "better-denoiser": ("theory", "convergence*"),
        **dict.fromkeys(("noise-robust", "bounded"), ("theory", "robustness*")),
        **dict.fromkeys(("over-smoothing", "detail"), ("theory", "smoothing*")),
        "posterior-mean": ("theory", "posterior*"),
        "second-order": ("theory", "theory second-order*"),
        **dict.fromkeys(("constant-memory", "first-order-adjoint", "adjoint-cheaper"), ADJOINT),
        **dict.fromkeys(("sde-split", "ode-less-accurate"), ("theory", "theory reverse-sde*")),
        "beyond-homeomorphisms": ("theory", "theory crossing*"),
        "local-global": ("theory", "theory local-error*"),
        "trade-off-convex": ("theory", "theory perception-distortion*"),
    }
)
"""Claim -> the experiment that decides it, and which of its cells; all others are of `theory`."""


CONTRACTS: Mapping[str, str] = MappingProxyType(
    {"time-embedding": "pytest tests/test_contracts.py -k hears_the_step"}
)
"""Claims that a test decides."""
ON_GPU = frozenset({"gpu-solvers"})
ABLATIONS = "cunet,cunet-no-attention,cunet-no-residual,cunet-no-attention-no-residual"
"""The networks of Appendix C, which no run trains unless it is told to."""
NETWORKS = "backbones="
"""The setting that says which networks."""
CLASSICS = "denoising.classics="
"""The setting that says which classic denoisers."""


def claim_again(run: RunLike, claim: str, *, missing: bool = False) -> str:
    """Return the command that decides one claim of the paper under this run's settings.

    Args:
        run: The run.
        claim: Its id.
        missing: Whether the run lacks what decides it. A run of other networks than the pair, or of
            fewer classic denoisers than the paper's, would lack it every time: then they are those
            that its budget or its file names.
    """
    if claim in CONTRACTS:
        return CONTRACTS[claim]
    experiment, only = CLAIMS.get(claim, ("theory", ""))
    if claim == "ablation":
        return f"{again(run, [experiment], only, drop=_networks)} --set {NETWORKS}{ABLATIONS}"
    command = again(run, [experiment], only, drop=_narrow if missing else _nothing)
    return f"{command} --device cuda" if claim in ON_GPU else command


def _nothing(option: Sequence[str]) -> bool:
    return False


def _named(option: Sequence[str], setting: str) -> set[str] | None:
    """Return what an option, with its value, sets a list to; None where it sets another thing."""
    text = option[-1].removeprefix("--set=")
    if not option[0].startswith("--set") or not text.startswith(setting):
        return None
    return set(text.removeprefix(setting).split(","))


def _networks(option: Sequence[str]) -> bool:
    return _named(option, NETWORKS) is not None


def _narrow(option: Sequence[str]) -> bool:
    """Return whether an option leaves out one of the paper's networks or classic denoisers."""
    needed = {NETWORKS: set(PAIR), CLASSICS: {"bm3d", "dncnn", "conv-ae"}}
    there = {setting: _named(option, setting) for setting in needed}
    return any(named is not None and not needed[s] <= named for s, named in there.items())


def is_counted(claim: str) -> bool:
    """Return whether a claim's number is counted, so that no budget or machine changes it."""
    return CLAIMS.get(claim) == COUNTED


def cell_again(run: RunLike, label: str) -> str:
    """Return the command that measures one cell, and whatever it uses, in a place of its own.

    Where the run's command is not known there is none.
    """
    whole = again(run, [], glob.escape(label))
    return f"{whole} --out again" if whole else ""


def again(
    run: RunLike,
    experiments: Sequence[str],
    only: str = "",
    *,
    drop: Callable[[Sequence[str]], bool] = _nothing,
) -> str:
    """Return a run's command for other experiments and cells; "" where it is no such command.

    Args:
        run: The run.
        experiments: What to run; what the run ran where there are none.
        only: A pattern of labels; without one and without experiments the run's own.
        drop: Whether an option, with its value, is left out.
    """
    try:
        words = shlex.split(str(run.manifest.get("command") or ""))
    except ValueError:
        return ""
    if tuple(words[: len(RUN)]) != RUN:
        words = [*RUN]
        if not experiments:
            return ""
    left_out = [word for word in LEFT_OUT if experiments or only or word != "--only"]
    named, options = _parted(words[len(RUN) :])
    kept = [one for one in options if one[0].partition("=")[0] not in left_out and not drop(one)]
    only_these = ["--only", only] if only else []
    parts = [*RUN, *(experiments or named), *itertools.chain(*kept), *only_these]
    return " ".join(quoted(part) for part in parts)


def _parted(words: Sequence[str]) -> tuple[list[str], list[list[str]]]:
    """Return the names of experiments and the options, each with its value."""
    named: list[str] = []
    options: list[list[str]] = []
    rest = iter(words)
    for word in rest:
        if not word.startswith("-"):
            named.append(word)
            continue
        group = [word]
        if word not in FLAGS and "=" not in word:
            group += [value for value in [next(rest, None)] if value is not None]
        options.append(group)
    return named, options


def quoted(word: str) -> str:
    """Return a word as a shell reads it back, with quotes only where it needs them."""
    return word if re.fullmatch(r"[\w@%+=:,./-]+", word, re.ASCII) else shlex.quote(word)
