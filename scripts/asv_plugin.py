"""An asv plugin that puts the folder of asv's own Python first on the PATH.

asv's virtualenv plugin takes the first `python3.12` on the PATH. That may be a shim that fails,
e.g. pyenv's without a chosen version; the environment that `make env` creates has a Python that
works.
"""

import os
import sys
from pathlib import Path


def setup() -> None:
    """Change the PATH; asv calls this when it loads the plugin."""
    own = str(Path(sys.executable).parent)
    os.environ["PATH"] = os.pathsep.join([own, os.environ.get("PATH", os.defpath)])
