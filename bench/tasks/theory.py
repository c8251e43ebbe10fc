"""Run one check of the theory: its claims and its curves, a row each."""

from dataclasses import asdict

from bench.api import Cell, Checked, Context, Kind, Outcome, register


@register(Kind.TASK, "theory", source="section 3.3 of the paper; protocol, Theory")
def theory(cell: Cell, context: Context) -> Outcome:
    """Return what the cell's check found."""
    spec = cell.spec["check"]
    arguments = {"effort": cell.spec["effort"], "seed": cell.spec["seed"]}
    found: Checked = context.build(Kind.CHECK, {**spec, **arguments})
    claims = [
        {
            "part": "claim",
            **asdict(claim),
            "holds": claim.holds.value,
            "numbers": dict(claim.numbers),
        }
        for claim in found.claims
    ]
    curves = [
        {
            "part": "curve",
            **{name: value for name, value in asdict(curve).items() if name != "label"},
            "curve": curve.label,
            **{
                name: [float(v) for v in getattr(curve, name)] for name in ("x", "y", "low", "high")
            },
        }
        for curve in found.curves
    ]
    return Outcome([*claims, *curves])
