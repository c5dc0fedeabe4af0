"""``python -m perfkit.environments VERSIONS`` prints the Python of each version of jaxlib.

An environment that does not exist yet is built first. The Python runs perfkit, its tests and its
benchmarks: ``asv run --environment existing:$(python -m perfkit.environments 0.11.0)``.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from perfkit.environments.environment import environments_for, parse_versions
from perfkit.errors import UserError


def main(arguments: Sequence[str]) -> int:
    """Print one path per line; 2 after a sentence on standard error if a version has none."""
    try:
        environments = environments_for(
            parse_versions(",".join(arguments)),
            lambda sentence: sys.stderr.write(f"{sentence}\n"),
        )
    except UserError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    sys.stdout.writelines(f"{environment.python}\n" for environment in environments)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
