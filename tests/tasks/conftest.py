"""One thread, and one place for the tiny cells of a test file."""

import sys
from pathlib import Path

import pytest

# Tests are not packages (they would shadow ours), so a helper beside them needs its folder here.
sys.path.insert(0, str(Path(__file__).parent))
from tasks_place import Place


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return Place(tmp_path_factory.mktemp("place"))
