"""Drawing once for both files of a figure, the PNG and the SVG: to draw twice takes twice as long.

Matplotlib lays out every text and every tick anew for each file; here they are asked once, in the
dots of the PNG, and what they answer goes to both.
"""

import numpy as np
from matplotlib.backend_bases import FigureCanvasBase, GraphicsContextBase, RendererBase
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.font_manager import FontProperties
from matplotlib.path import Path
from matplotlib.textpath import text_to_path
from matplotlib.transforms import Affine2D, Transform
from PIL import Image

from bench.report.vector import HALO, RIM, Vector


class Both(RendererBase):
    """What draws in dots and in lines at once; the dots decide on all sizes."""

    def __init__(self, width: float, height: float, dpi: float) -> None:
        """Begin a drawing of `width` by `height` dots."""
        super().__init__()
        self.width, self.height, self.dpi = width, height, dpi
        self.dots, self.lines = RendererAgg(width, height, dpi), Vector(width, height, dpi)

    def draw_path(
        self, gc: GraphicsContextBase, path: Path, transform: Transform, rgbFace=None
    ) -> None:
        """Draw a path."""
        self.dots.draw_path(gc, path, transform, rgbFace)
        self.lines.draw_path(gc, path, transform, rgbFace)

    def draw_markers(
        self,
        gc: GraphicsContextBase,
        marker_path: Path,
        marker_trans: Transform,
        path: Path,
        trans: Transform,
        rgbFace=None,
    ) -> None:
        """Draw one shape at many places."""
        self.dots.draw_markers(gc, marker_path, marker_trans, path, trans, rgbFace)
        self.lines.draw_markers(gc, marker_path, marker_trans, path, trans, rgbFace)

    def draw_image(
        self,
        gc: GraphicsContextBase,
        x: float,
        y: float,
        im: np.ndarray,
        transform: Transform | None = None,
    ) -> None:
        """Draw a picture [H,W,4] pixel by pixel onto where the transform puts a unit square."""
        self.lines.draw_image(gc, x, y, im, transform)
        if transform is None:
            self.dots.draw_image(gc, x, y, im)
            return
        place = transform + Affine2D().translate(x, y)
        (left, first), (right, last) = place.transform([(0, 0), (1, 1)])
        low, high = sorted((round(first), round(last)))
        across = max(1, round(right) - round(left)), max(1, high - low)
        rows = im if last > first else im[::-1]  # the first is the lowest, as Agg has it
        picture = Image.fromarray(np.ascontiguousarray(rows))
        dots = np.array(picture.resize(across, Image.Resampling.NEAREST))  # Agg wants its own
        self.dots.draw_image(gc, round(left), low, dots)

    def draw_text(  # noqa: PLR0913 - as Matplotlib calls it
        self,
        gc: GraphicsContextBase,
        x: float,
        y: float,
        s: str,
        prop: FontProperties,
        angle: float,
        ismath: bool = False,
        mtext=None,
    ) -> None:
        """Write a line of words, some with a white rim."""
        if mtext is not None and mtext.get_gid() == HALO:
            self._rim(x, y, s, prop, angle)
        self.dots.draw_text(gc, x, y, s, prop, angle, ismath=ismath, mtext=mtext)
        self.lines.draw_text(gc, x, y, s, prop, angle, ismath=ismath, mtext=mtext)

    def _rim(self, x: float, y: float, s: str, prop: FontProperties, angle: float) -> None:
        gc = self.new_gc()
        gc.set_linewidth(RIM)
        gc.set_foreground("white")
        gc.set_joinstyle("round")
        scale = self.points_to_pixels(prop.get_size_in_points()) / text_to_path.FONT_SCALE
        place = Affine2D().scale(scale).rotate_deg(angle).translate(x, self.height - y)
        self.dots.draw_path(gc, Path(*text_to_path.get_text_path(prop, s)), place)

    def get_text_width_height_descent(
        self, s: str, prop: FontProperties, ismath: bool
    ) -> tuple[float, float, float]:
        """Return the size of words in dots."""
        return self.dots.get_text_width_height_descent(s, prop, ismath)

    def points_to_pixels(self, points: float) -> float:
        """Return a length in dots."""
        return self.dots.points_to_pixels(points)

    def get_canvas_width_height(self) -> tuple[float, float]:
        """Return the size in dots."""
        return self.width, self.height

    def option_scale_image(self) -> bool:
        """Say that pictures come as they are; they are enlarged here."""
        return True

    def option_image_nocomposite(self) -> bool:
        """Say that pictures come one by one."""
        return True


class Canvas(FigureCanvasBase):
    """What a figure is saved with: writes the PNG, and keeps the SVG."""

    filetypes = {"png": "Portable Network Graphics"}  # noqa: RUF012 - as in Matplotlib
    svg = ""
    _measures: tuple[tuple[float, ...], RendererAgg] | None = None

    def get_renderer(self) -> RendererAgg:
        """Return what measures a figure that is not drawn yet."""
        about = (*self.figure.bbox.size, self.figure.dpi)
        if self._measures is None or self._measures[0] != about:
            self._measures = about, RendererAgg(*about)
        return self._measures[1]

    def print_png(self, filename: str, **_: object) -> None:
        """Draw the figure; of what Matplotlib tells every kind of file nothing is needed here."""
        dpi = self.figure.dpi
        both = Both(*(int(side) for side in self.figure.bbox.size), dpi)
        self.figure.draw(both)
        self.svg = both.lines.text()
        dots = Image.fromarray(np.asarray(both.dots.buffer_rgba())).convert("RGB")
        if not any(axes.images for axes in self.figure.axes):
            dots = few_colours(dots)
        dots.save(filename, dpi=(dpi, dpi))


def few_colours(chart: Image.Image) -> Image.Image:
    """Return a chart with a palette: half as large, and sooner compressed than all its shades."""
    few = chart.quantize(method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    few.putpalette([255 if shade == 254 else shade for shade in few.getpalette() or []])
    return few  # with white paper
