"""Tests are not packages, so a helper beside them needs its folder on the path."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
