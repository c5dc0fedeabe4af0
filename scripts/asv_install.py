"""Install one commit of perfkit into an environment of asv, pinned by that commit's constraints.

Usage: asv_install.py BUILD_FOLDER WHEEL. If asv's matrix sets PERFKIT_JAX, that version of jax and
jaxlib replaces the pinned one.
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

EXTRAS = "af3,gencast,profile,dev"


def constraints_with_jax(text: str, version: str | None) -> str:
    """The text of a constraints file, with jax and jaxlib pinned to ``version`` if it is given."""
    if not version:
        return text
    kept = [line for line in text.splitlines() if not re.match(r"jax(lib)?==", line)]
    return "\n".join([*kept, f"jax=={version}", f"jaxlib=={version}", ""])


def main() -> int:
    """Install the wheel and return pip's exit code."""
    build, wheel = Path(sys.argv[1]), sys.argv[2]
    pinned = (build / "constraints.txt").read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder:
        constraints = Path(folder) / "constraints.txt"
        constraints.write_text(constraints_with_jax(pinned, os.environ.get("PERFKIT_JAX")))
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--constraint", str(constraints)]
        # The same file pins asv's own packages in the environment.
        return subprocess.run([*pip, f"{wheel}[{EXTRAS}]", "asv_runner", "pympler"]).returncode


if __name__ == "__main__":
    sys.exit(main())
