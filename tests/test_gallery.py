"""The gallery and the pages around it: every figure is there, with words, N, budget and command."""

import itertools
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from bench import registry
from bench.api import ENTRIES, Kind

HOME = Path(__file__).resolve().parent.parent
GALLERY = HOME / "docs" / "gallery.md"
PAGES = [HOME / "README.md", GALLERY, HOME / "docs" / "autopsy.md"]
PICTURE = re.compile(r"!\[([^\]]*)\]\(([^)]+)\)")
LEAST_WORDS = 8
"""Of what is said of a picture to who cannot see it."""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_picture_is_there_and_has_words(page):
    found = PICTURE.findall(page.read_text())
    assert found
    for words, place in found:
        assert (page.parent / place).resolve().is_file(), place
        assert len(words.split()) >= LEAST_WORDS, words


def test_every_figure_of_the_gallery_says_what_n_budget_and_command():
    registry.discover()
    experiments = {name for kind, name in ENTRIES if kind == Kind.EXPERIMENT}
    parts = re.split(PICTURE, GALLERY.read_text())[1:]
    captions = parts[2::3]
    assert len(captions) >= 10
    for caption in captions:
        (command,) = re.findall(r"`(python -m bench run [^`]+)`", caption)
        words = shlex.split(command)[4:]
        named = list(itertools.takewhile(lambda word: not word.startswith("--"), words))
        assert named and set(named) <= experiments, command
        (facts,) = re.findall(r"\*([A-Z0-9][^*]+)\*", caption)
        said = re.search(r"\bN = |\d+ generated|Counted|Not selected|same noisy images", facts)
        assert said, facts
    budgets = [re.search(r"budget|Not selected", caption) for caption in captions]
    assert all(budgets)


def test_the_readmes_data_snippet_prints_the_counts():
    text = (HOME / "README.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    snippet = next(block for block in blocks if "bench.load" in block)
    done = subprocess.run(
        [sys.executable, "-c", snippet], cwd=HOME, capture_output=True, text=True, check=True
    )
    line = next(line for line in done.stdout.splitlines() if line.startswith("unet "))
    assert line.split()[1] == "35710339"


def test_the_autopsy_is_one_step_from_the_first_screen():
    text = (HOME / "README.md").read_text()
    after = text[text.index("<!-- end of the first screen -->") :]
    first = after.strip().split("\n\n")[1]
    assert "python -m bench run autopsy" in first and "(docs/autopsy.md)" in first
