"""Drawing as SVG in few bytes: whole numbers, every shape, glyph and word defined once.

The unit is a twentieth of a point, so that no number needs a decimal: finer than any printer.
"""

import base64
from collections.abc import Callable
from functools import lru_cache

import numpy as np
from matplotlib.backend_bases import GraphicsContextBase, RendererBase
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.path import Path
from matplotlib.textpath import text_to_path
from matplotlib.transforms import Affine2D, BboxBase, Transform

from bench.report.outline import Attributes, as_png, data, paint

POINT = 20
"""Units in a point."""
EM = 400
"""Units of a glyph in the size of its font."""
ROUGH = 2.0
"""Units that a line of data may be moved to have fewer places: a tenth of a point."""
HALO = "halo"
"""What a text is called (its gid) that keeps a white rim."""
RIM = 2.0
"""Points of the line around it, half of which is outside."""
INCH = 72 * POINT
CAPS = {"projecting": "square", "round": "round"}


class Vector(RendererBase):
    """What Matplotlib draws with; its text is the file."""

    def __init__(self, width: float, height: float, dpi: float) -> None:
        """Begin a drawing.

        Args:
            width: In dots.
            height: Likewise.
            dpi: Dots per inch.
        """
        super().__init__()
        self._unit = INCH / dpi
        self._size = round(width * self._unit), round(height * self._unit)
        self._flip = Affine2D().scale(self._unit, -self._unit).translate(0, height * self._unit)
        self._defs: dict[tuple[str, str], str] = {}
        self._clips: dict[tuple[float, ...], Attributes] = {}
        self._hatches: dict[tuple[object, ...], str] = {}
        self._glyphs: dict[str, str] = {}
        self._lines: dict[tuple[str, str], str] = {}
        self._body: list[str] = []
        self._alike: list[str] = []
        self._attributes: Attributes = ""

    def text(self) -> str:
        """Return the file."""
        self._put("", "")
        wide, high = self._size
        defs = "\n".join(begin.format(name) + rest for (begin, rest), name in self._defs.items())
        return (
            '<svg xmlns="http://www.w3.org/2000/svg" '
            f'width="{wide / POINT:g}pt" height="{high / POINT:g}pt" viewBox="0 0 {wide} {high}" '
            f'fill="none" stroke-linejoin="round">\n<defs>\n{defs}\n</defs>\n'
            + "\n".join(self._body)
            + "\n</svg>\n"
        )

    def draw_path(
        self, gc: GraphicsContextBase, path: Path, transform: Transform, rgbFace=None
    ) -> None:
        """Draw a path, without the places of a line that nobody would miss."""
        few = path.should_simplify and rgbFace is None and gc.get_hatch() is None
        if few:
            path = Path(path.vertices, path.codes)
            path.simplify_threshold = ROUGH
        seen = path.cleaned(
            transform=transform + self._flip,
            remove_nans=True,
            clip=(0, 0, *self._size) if few else None,
            simplify=few,
            curves=True,
        )
        d = data(seen.vertices, seen.codes)
        if d:
            self._put(f'path d="{d}"', self._clip(gc) + self._look(gc, rgbFace))

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
        shape = marker_path.cleaned(
            transform=marker_trans + Affine2D().scale(self._unit, -self._unit), curves=True
        )
        name = self._named('<path id="{}"', f' d="{data(shape.vertices, shape.codes)}"/>')
        attributes = self._clip(gc) + self._look(gc, rgbFace)
        for vertices, _ in path.iter_segments(trans + self._flip, simplify=False):
            if len(vertices):
                x, y = (round(float(value)) for value in vertices[-2:])
                self._put(f'use href="#{name}" x="{x}" y="{y}"', attributes)

    def draw_image(
        self,
        gc: GraphicsContextBase,
        x: float,
        y: float,
        im: np.ndarray,
        transform: Transform | None = None,
    ) -> None:
        """Draw a picture [H,W,4], its own pixels, onto where the transform puts a unit square."""
        high, wide = im.shape[:2]
        onto = transform if transform is not None else Affine2D().scale(wide, high)
        pixels = Affine2D().scale(1 / wide, 1 / high) + onto
        a, c, e, b, d, f = (pixels + Affine2D().translate(x, y) + self._flip).get_matrix()[:2].flat
        png = base64.b64encode(as_png(im)).decode()
        name = self._named(
            '<image id="{}"',
            f' width="{wide}" height="{high}" image-rendering="pixelated" '
            f'href="data:image/png;base64,{png}"/>',
        )
        matrix = " ".join(f"{value:.6g}" for value in (a, b, c, d, e, f))
        self._put(f'use href="#{name}" transform="matrix({matrix})"', self._clip(gc))

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
        """Write a line of plain words; `y` is counted from the top."""
        name = self._words(s, prop)
        if not name:
            return
        scale = prop.get_size_in_points() * POINT / EM
        turned = f"rotate({-angle:g})" if angle else ""
        place = f"translate({round(x * self._unit)} {round(y * self._unit)})"
        words = f'use href="#{name}" transform="{place}{turned}scale({scale:.4g})"'
        clip, colour = self._clip(gc), gc.get_rgb()
        if mtext is not None and mtext.get_gid() == HALO:
            wide = round(RIM * POINT / scale)
            self._put(words, f'{clip} stroke="#fff" stroke-width="{wide}"')
        alpha = gc.get_alpha() if gc.get_forced_alpha() else colour[3]
        self._put(words, clip + paint("fill", (*colour[:3], alpha)))

    # ---------------------------------------------------------------- parts

    def _put(self, tag: str, attributes: Attributes) -> None:
        """Append a tag; neighbours with the same attributes share them."""
        if attributes == self._attributes and tag:
            self._alike.append(tag)
            return
        alike, shared = self._alike, self._attributes
        # A clip goes by the coordinates of whatever carries it, which a transform changes.
        if len(alike) == 1 and (alike[0].startswith("path") or "clip-path" not in shared):
            self._body.append(f"<{alike[0]}{shared}/>")
        elif alike:
            self._body.append(f"<g{shared}>" + "".join(f"<{one}/>" for one in alike) + "</g>")
        self._alike, self._attributes = [tag] if tag else [], attributes

    def _named(self, begin: str, rest: str) -> str:
        """Return the name of a definition; `begin` has a gap for it."""
        kind = begin[1]
        return self._defs.setdefault((begin, rest), f"{kind}{len(self._defs)}")

    def _words(self, text: str, prop: FontProperties) -> str:
        """Return the name of a line of words, empty where there is nothing to see."""
        file = _file(prop)
        if (file, text) not in self._lines:
            self._lines[file, text] = self._written(text, file)
        return self._lines[file, text]

    def _written(self, text: str, file: str) -> str:
        font = get_font(file)
        font.set_size(text_to_path.FONT_SCALE, text_to_path.DPI)
        places, new, _ = text_to_path.get_glyphs_with_font(
            font, text, glyph_map=dict(self._glyphs), return_new_glyphs_only=True
        )
        share = EM / text_to_path.FONT_SCALE
        self._glyphs |= {glyph: _glyph_data(shape, share) for glyph, shape in new.items()}
        uses = []
        for glyph, x, *_ in places:
            if self._glyphs[glyph]:
                name = self._named('<path id="{}"', f' d="{self._glyphs[glyph]}"/>')
                across = f' x="{round(x * share)}"' if x else ""
                uses.append(f'<use href="#{name}"{across}/>')
        return self._named('<g id="{}"', f">{''.join(uses)}</g>") if uses else ""

    def _clip(self, gc: GraphicsContextBase) -> Attributes:
        """Return what keeps a drawing inside its panel."""
        path, transform = gc.get_clip_path()
        if path is None:
            box = gc.get_clip_rectangle()
            if box is None:
                return ""
            if box.bounds not in self._clips:
                self._clips[box.bounds] = self._window(Path.unit_rectangle(), _onto(box))
            return self._clips[box.bounds]
        return self._window(path, transform)

    def _window(self, path: Path, transform: Transform) -> Attributes:
        shape = path.cleaned(transform=transform + self._flip, curves=True)
        d = data(shape.vertices, shape.codes)
        name = self._named('<clipPath id="{}"', f'><path d="{d}"/></clipPath>')
        return f' clip-path="url(#{name})"'

    def _look(self, gc: GraphicsContextBase, face) -> Attributes:
        """Return fill and stroke."""
        forced, line, width = gc.get_forced_alpha(), gc.get_rgb(), gc.get_linewidth()
        if forced:
            line = (*line[:3], gc.get_alpha())
            face = (*face[:3], gc.get_alpha()) if face is not None else None
        parts = []
        if gc.get_hatch() is not None:
            parts.append(f' fill="url(#{self._hatch(gc, face)})"')
        elif face is not None:
            parts.append(paint("fill", face))
        if width > 0 and line[3] > 0:
            parts += [paint("stroke", line), f' stroke-width="{width * POINT:.4g}"']
            offset, dashes = gc.get_dashes()
            if dashes is not None:
                told = " ".join(f"{dash * POINT:.4g}" for dash in dashes)
                parts.append(f' stroke-dasharray="{told}"')
                parts.append(f' stroke-dashoffset="{offset * POINT:.4g}"' if offset else "")
            cap, join = str(gc.get_capstyle()), str(gc.get_joinstyle())
            parts.append(f' stroke-linecap="{CAPS[cap]}"' if cap in CAPS else "")
            parts.append(f' stroke-linejoin="{join}"' if join != "round" else "")
        return "".join(parts)

    def _hatch(self, gc: GraphicsContextBase, face) -> str:
        """Return the name of a pattern."""
        line = gc.get_hatch_color(), gc.get_hatch_linewidth()
        about = (gc.get_hatch(), *line, None if face is None else tuple(face))
        if about not in self._hatches:
            self._hatches[about] = self._pattern(gc, face)
        return self._hatches[about]

    def _pattern(self, gc: GraphicsContextBase, face) -> str:
        """Return the name of a new pattern; as everywhere in Matplotlib it repeats every inch."""
        shape = gc.get_hatch_path().cleaned(
            transform=Affine2D().scale(INCH, -INCH).translate(0, INCH), curves=True
        )
        colour, all_over = gc.get_hatch_color(), f'<path d="M0 0h{INCH}v{INCH}h-{INCH}z"'
        width = f' stroke-width="{gc.get_hatch_linewidth() * POINT:.4g}"'
        lines = f'<path d="{data(shape.vertices, shape.codes)}"'
        lines += f"{paint('fill', colour)}{paint('stroke', colour)}{width}/>"
        ground = f"{all_over}{paint('fill', face)}/>" if face is not None else ""
        sides = f' width="{INCH}" height="{INCH}" patternUnits="userSpaceOnUse">'
        return self._named('<pattern id="{}"', f"{sides}{ground}{lines}</pattern>")


def _glyph_data(glyph: tuple[np.ndarray, np.ndarray], share: float) -> str:
    vertices, codes = glyph
    return data(np.asarray(vertices) * (share, -share), np.asarray(codes)) if len(vertices) else ""


def _onto(box: BboxBase) -> Affine2D:
    """Return what makes a unit square a box."""
    return Affine2D().scale(box.width, box.height).translate(box.x0, box.y0)


_file: Callable[[FontProperties], str] = lru_cache(maxsize=64)(findfont)
