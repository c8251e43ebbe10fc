"""Shared by the tests of executors: their helpers can be imported."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
