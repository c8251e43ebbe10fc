"""The generated images that lie nearest to a training image, above that image."""

from pathlib import Path

from matplotlib.figure import Figure

from bench.report import pictures as p
from bench.report import style
from bench.report.curves import Curve, curves, primary
from bench.report.names import printed
from bench.report.rows import RunLike, floating

FILE = "closest.safetensors"


@style.styled
def draw_pairs(run: RunLike, folder: Path) -> list[Path] | str:
    """Draw each network's closest pairs at its best number of steps."""
    strips = []
    for curve in primary(curves(run)):
        found = p.arrays(run, curve.best["key"], FILE)
        if {"generated", "training"} <= set(found) and len(found["generated"]):
            strips.append((curve, found))
    if not strips:
        return "no closest pairs in this run"
    wide = max(len(found["generated"]) for _, found in strips)
    size = (0.62 * wide + 1.3, 1.62 * len(strips) + 0.1)
    figure = Figure(figsize=size, layout="constrained")
    figure.get_layout_engine().set(h_pad=0.01, hspace=0.0)
    axes = figure.subplots(2 * len(strips), 1, squeeze=False)[:, 0]
    for i, (curve, found) in enumerate(strips):
        above, below = axes[2 * i], axes[2 * i + 1]
        p.show(above, p.tile(found["generated"], wide))
        p.show(below, p.tile(found["training"], wide))
        colour = style.look(curve.backbone).colour
        above.set_title(_title(curve), fontsize=8, color=colour)
        p.side(above, "generated", colour)
        p.side(below, "training", style.GREY)
    return style.save(figure, folder, "closest_pairs")


def _title(curve: Curve) -> str:
    title = f"{curve.dataset}: {printed(curve.backbone)}, {int(curve.best['steps'])} steps"
    values = [
        floating(curve.best[name]) for name in ("nearest_training", "nearest_training_held_out")
    ]
    if None in values:
        return title
    return f"{title} - median distance {values[0]:.3g}, held-out images {values[1]:.3g}"
