import sys
from pathlib import Path

# Tests are not packages (they would shadow ours), so a helper beside them needs its folder here.
sys.path.insert(0, str(Path(__file__).parent))
