"""Install one commit of perfkit into an environment of asv, pinned by that commit's constraints.

Usage: asv_install.py BUILD_FOLDER WHEEL.
"""

import subprocess
import sys
from pathlib import Path

EXTRAS = "af3-colabfold,gencast,profile,dev"


def main() -> int:
    """Install the wheel and return pip's exit code."""
    build, wheel = Path(sys.argv[1]), sys.argv[2]
    constraints = str(build / "constraints.txt")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--constraint", constraints]
    # The same file pins asv's own packages in the environment.
    return subprocess.run([*pip, f"{wheel}[{EXTRAS}]", "asv_runner", "pympler"]).returncode


if __name__ == "__main__":
    sys.exit(main())
