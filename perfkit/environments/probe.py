"""What a Python finds: ``python -m perfkit.environments.probe`` writes it as one line of JSON.

JAX is imported, so that a broken installation ends with its error message.
"""

from __future__ import annotations

import json
import platform
import sys


def main() -> None:
    """Import JAX, and write the versions and builds of the packages."""
    import jax  # noqa: F401

    from perfkit.builds import installed_build
    from perfkit.records.machine import package_versions

    versions = package_versions()
    found = {
        "python_version": platform.python_version(),
        "versions": versions,
        "builds": {name: installed_build(name) for name in versions},
    }
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
