"""`bench score`: numbers for what somebody else made, a set of pictures or a network."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.api import BenchError
from bench.commands.measure import sharing, tell_of_sharing
from bench.options import (
    WORKERS,
    DeviceOption,
    FreshOption,
    JsonOption,
    OfflineOption,
    OutOption,
    StoreOption,
    WorkersOption,
)

if TYPE_CHECKING:
    from rich.console import Console

    from bench.session import Session

LEVELS = "50,150,400"
IMAGES = 48
SIDE = 32


def score(  # noqa: PLR0913 - an option each
    path: Annotated[
        Path | None,
        typer.Argument(
            metavar="[PATH]", help="Folder or .zip of pictures, .npz, .npy, .safetensors"
        ),
    ] = None,
    against: Annotated[
        str | None,
        typer.Option("--against", "--dataset", metavar="DATASET", help="The real images."),
    ] = None,
    features: Annotated[
        str, typer.Option("--features", metavar="NAME", help="What distances are measured in.")
    ] = "alexnet",
    n: Annotated[
        int | None, typer.Option("--n", min=2, help="At most so many pictures of either set.")
    ] = None,
    layout: Annotated[str, typer.Option("--layout", help="Of an array: NCHW, NHWC, NHW.")] = "",
    value_range: Annotated[
        str, typer.Option("--range", help="Black and white: -1,1 (an array's, or a network's).")
    ] = "",
    resize: Annotated[
        bool, typer.Option("--resize", help="Cut to the centre square and resize to --size.")
    ] = False,
    size: Annotated[
        int | None, typer.Option("--size", min=8, max=4096, help="Side of the pictures.")
    ] = None,
    denoiser: Annotated[
        str | None,
        typer.Option(
            "--denoiser", metavar="SPEC", help="package.module:factory, file.py:factory or folder."
        ),
    ] = None,
    checkpoint: Annotated[
        Path | None, typer.Option("--checkpoint", help="Its weights, .safetensors.")
    ] = None,
    prediction: Annotated[str, typer.Option("--prediction", help="noise, x0 or v.")] = "",
    schedule: Annotated[
        str, typer.Option("--schedule", help="Linear unless the checkpoint says.")
    ] = "",
    levels: Annotated[
        str, typer.Option("--levels", help="Noising steps, of the sigmoid schedule.")
    ] = LEVELS,
    out: OutOption = None,
    device: DeviceOption = "auto",
    workers: WorkersOption = WORKERS,
    store: StoreOption = None,
    fresh: FreshOption = False,
    offline: OfflineOption = False,
    as_json: JsonOption = False,
) -> None:
    """Score pictures against a data set, or (--denoiser) a network as a denoiser."""
    options = {"workers": workers, "fresh": fresh, "offline": offline, "as_json": as_json}
    if (path is None) == (denoiser is None):
        raise BenchError("score: name either a set of pictures or a --denoiser; see --help")
    if denoiser is not None:
        from bench.score.networks import AskedNetwork, settle_denoiser

        network = AskedNetwork(denoiser, checkpoint, prediction, schedule, value_range or "-1,1")
        session = settle_denoiser(
            network, against or "digits", _whole(levels), size=size or SIDE, n=n or IMAGES,
            device=device, out=out,
        )  # fmt: skip
        if checkpoint is None and ":" in denoiser:
            print(
                "note: no --checkpoint: its weights are those that its factory gives it",
                file=sys.stderr,
            )
    else:
        given = {"--checkpoint": checkpoint, "--prediction": prediction, "--schedule": schedule,
                 "--levels": levels != LEVELS}  # fmt: skip
        if wrong := [name for name, value in given.items() if value]:
            raise BenchError(f"score: {wrong[0]} is for a --denoiser; pictures need none")
        from bench.score.conventions import Conventions
        from bench.score.plan import Asked, settle_score

        stated = Conventions.of(layout, value_range)
        asked = Asked(path, _named(against), features, n, stated, size, resize)
        session = settle_score(asked, device=device, out=out)
    session = sharing(session, store, offline=offline)
    raise typer.Exit(_score(session, of_pictures=denoiser is None, **options))


def _named(against: str | None) -> str:
    if against is None:
        from bench.registry import names

        known = ", ".join(names("dataset"))
        raise BenchError(f"score: name the real images with --against; known: {known}")
    return against


def _whole(levels: str) -> list[int]:
    try:
        return [int(part) for part in levels.split(",")]
    except ValueError:
        raise BenchError(
            f"--levels {levels[:60]}: expected noising steps such as {LEVELS}"
        ) from None


def _score(
    session: "Session", *, of_pictures: bool, workers: int, fresh: bool, offline: bool,
    as_json: bool,
) -> int:  # fmt: skip
    from rich.console import Console

    from bench.commands.measure import measured
    from bench.disk import write_atomically
    from bench.score import denoised, results
    from bench.session import exit_code, lacking

    console = Console(stderr=as_json)
    finished, display = measured(session, console, workers, fresh=fresh, offline=offline)
    about = results if of_pictures else denoised
    found: dict[str, Any] = about.result(finished)
    text = json.dumps(found, indent=1, sort_keys=True, allow_nan=False)
    place = session.folders.run / "score.json"
    write_atomically(place, f"{text}\n".encode())
    if as_json:
        print(text)
    else:
        _print_table(console, about.lines(found), () if of_pictures else denoised.HEADER)
        told = f"{display.measured} cells measured of {len(session.plan)}; {place}"
        console.print(told, soft_wrap=True)
    tell_of_sharing(session, console)
    for reason in lacking(session, finished):
        print(f"bench: {reason}", file=sys.stderr)
    return exit_code(session, finished)


def _print_table(
    console: "Console", lines: Sequence[tuple[str, ...]], header: Sequence[str]
) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.markup import escape
    from rich.table import Table

    if not lines:
        return
    table = Table(box=SIMPLE_HEAD, show_header=bool(header))
    for index in range(len(lines[0])):
        last = index == len(lines[0]) - 1
        table.add_column(
            escape(header[index]) if header else "",
            justify="right" if index == 1 and not header else "left",
            overflow="fold",
            no_wrap=not last and not header,
        )
    for line in lines:
        table.add_row(*(escape(cell) for cell in line))
    console.print(table)
