"""What a report says that it is about."""

from pathlib import Path

import pandas as pd
import pytest
from report_builder import FakeRun

from bench.report.title import run_title


def run_of(rows: list[dict], backbones: object = ("unet", "cunet")) -> FakeRun:
    manifest = {"dataset": "celeba", "settings": {"backbones": backbones}}
    return FakeRun(manifest, pd.DataFrame(rows), Path())


def cell(status: str = "ok", **spec: str) -> dict:
    return {"task": "any", "status": status, **spec}


def networks(*names: str, **more: str) -> list[dict]:
    return [cell(denoiser=f"diffusion:{name}", **more) for name in names]


@pytest.mark.parametrize(
    ("rows", "backbones", "title"),
    [
        (networks("cunet", "unet"), ["unet", "cunet"], "U-Net and cU-Net, measured on celeba"),
        (networks("cunet"), ["unet", "cunet"], "cU-Net, measured on celeba"),
        (
            [*networks("cunet", "unet-2.9g"), cell(backbone="unet"), cell(denoiser="bm3d")],
            ["unet", "unet-2.9g", "cunet"],
            "U-Net, unet-2.9g and cU-Net, measured on celeba",
        ),
        (
            networks("unet", "cunet", "a", "b", "c"),
            ["c", "b", "a", "unet", "cunet"],
            "c, b, a and 2 more, measured on celeba",
        ),
        (
            networks("unet", "cunet", "a", "b"),
            ["a", "b", "unet", "cunet"],
            "a, b, U-Net and cU-Net, measured on celeba",
        ),
        (
            [cell(denoiser="bm3d"), cell(denoiser="identity"), *networks("unet", status="failed")],
            ["unet"],
            "Noisy input and BM3D, measured on celeba",
        ),
        (networks("unet"), None, "U-Net, measured on celeba"),
        (networks("unet", status="failed"), ["unet"], "A run on celeba"),
        ([], ["unet"], "A run on celeba"),
    ],
)
def test_the_title_names_what_was_measured(rows, backbones, title):
    assert run_title(run_of(rows, backbones)) == title
