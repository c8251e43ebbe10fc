"""What Table 5 says about itself: sentences made of measured and printed numbers."""

from collections.abc import Callable, Mapping

import pandas as pd

from bench.report.names import PAIR
from bench.report.paper import Printed
from bench.report.rows import floating

COMMAND = "python -m bench run table5 --only '{}'"
ADAM_AND_AVERAGE = 4
"""Copies of the weights in a training checkpoint: themselves, their average, two moments."""
Costs = Mapping[str, pd.Series]
Paper = Mapping[tuple[str, str], Printed]


def findings(found: Costs, paper: Paper) -> list[str]:
    """Return every finding that the rows of a run bear out, each with the command that shows it."""
    told = []
    for say, pattern, needed in FINDINGS:
        if all(name in found for name in needed):
            try:
                sentence = say(found, paper)
            except Uncounted:
                continue
            if sentence:
                told.append(f"Finding: {sentence} Shown by {COMMAND.format(pattern)}.")
    return told


class Uncounted(Exception):
    """A number that a sentence needs is not in the run."""


def _get(found: Costs, name: str, column: str) -> float:
    value = floating(found[name][column])
    if value is None:
        raise Uncounted
    return value


def _about(found: Costs, name: str) -> str:
    return (
        f"{name}: {_get(found, name, 'parameters'):,.0f}, "
        f"{_get(found, name, 'gmacs_authors'):.2f} GMACs, "
        f"{_get(found, name, 'checkpoint_mib'):.1f} MiB"
    )


def two_models(found: Costs, paper: Paper) -> str:
    """Return which networks the numbers of the cU-Net are of."""
    count, macs, size = (paper["cU-Net", metric].text for metric in ("parameters", "gflops", "mb"))
    few, many = "cunet-released", "cunet-released-a5"
    if _get(found, few, "parameters") == _get(found, many, "parameters"):
        return ""
    return (
        f"the paper counts two cU-Nets: the parameters of its Figure 6 ({count} in the authors' "
        f"notebook, 8.8M in print) are those of the network with 2 attention layers "
        f"({_about(found, few)}), GFLOPS and MB of its Table 5 ({macs}, {size}) those of the one "
        f"with 5 ({_about(found, many)})."
    )


def checkpoint_file(found: Costs, paper: Paper) -> str:
    """Return what the paper's MB is the size of."""
    weights, file = (_get(found, "unet", name) for name in ("weights_mib", "checkpoint_mib"))
    return (
        f"the paper's MB is a checkpoint file, no memory of a running network: for the U-Net it "
        f"prints {paper['U-Net', 'mb'].text}, the weights alone are {weights:.1f} MiB, "
        f"{ADAM_AND_AVERAGE} copies of them (weights, average, two Adam moments) "
        f"{ADAM_AND_AVERAGE * weights:.1f} MiB, and the file written here {file:.1f} MiB."
    )


def thirty_percent(found: Costs, paper: Paper) -> str:
    """Return what the abstract's share is by the paper's table and here."""
    base, ours = paper["U-Net", "gflops"], paper["cU-Net", "gflops"]
    here = {
        name: _get(found, name, "gmacs_authors") / _get(found, "unet", "gmacs_authors")
        for name in ("cunet", "cunet-released", "cunet-released-a5")
        if name in found
    }
    measured = ", ".join(f"{share:.1%} ({name})" for name, share in here.items())
    return (
        f"the abstract's 30 % of the FLOPs contradicts the paper's own table, {ours.text} / "
        f"{base.text} = {ours.value / base.value:.1%}; counted here: {measured}."
    )


def confounded(found: Costs, paper: Paper) -> str:
    """Return what else the row without residuals takes away."""
    whole, without = "cunet-released", "cunet-released-no-residual"
    fewer = _get(found, whole, "parameters") - _get(found, without, "parameters")
    less = 1 - _get(found, without, "gmacs_authors") / _get(found, whole, "gmacs_authors")
    printed = paper["cU-Net wo/R", "parameters"]
    if fewer <= 0:
        return ""
    text = (
        f"the row without residual blocks is confounded: the released variant that has its "
        f"{printed.text} parameters ({without}) drops {fewer:,.0f} parameters and {less:.0%} of "
        "the multiply-adds, which adding an input to an output has none of"
    )
    skip = "cunet-no-skip"
    if skip in found and "cunet" in found:
        same = [
            _get(found, skip, column) == _get(found, "cunet", column)
            for column in ("parameters", "gmacs_authors")
        ]
        if all(same):
            text += (
                f"; taking out that addition alone ({skip}) leaves all "
                f"{_get(found, skip, 'parameters'):,.0f} parameters and "
                f"{_get(found, skip, 'gmacs_authors'):.2f} GMACs of cunet"
            )
    return f"{text}."


Say = Callable[[Costs, Paper], str]
FINDINGS: tuple[tuple[Say, str, tuple[str, ...]], ...] = (
    (two_models, "cost cunet-released*", ("cunet-released", "cunet-released-a5")),
    (checkpoint_file, "cost unet", ("unet",)),
    (thirty_percent, "cost *", PAIR),
    (confounded, "cost cunet*", ("cunet-released", "cunet-released-no-residual")),
)
"""What makes the sentence, the cells that show it, and the networks that it needs."""
