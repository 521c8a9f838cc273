"""The scripted model of the command line's tests is this folder's, too."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "cli"))
