"""What asv does before anything else here: finds the Python that it runs with first on the PATH.

asv's virtualenv plugin looks for `python3.12` on the PATH and takes the first, which may be a shim
that exists and fails (pyenv without a version chosen); the environment that `make env` made has one
that works.
"""

import os
import sys
from pathlib import Path


def setup() -> None:
    """Called by asv when the plugin is loaded."""
    own = str(Path(sys.executable).parent)
    os.environ["PATH"] = os.pathsep.join([own, os.environ.get("PATH", os.defpath)])
