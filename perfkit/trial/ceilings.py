"""What this machine can do at best: FLOP/s of a matrix product, bytes/s of a copy, through XLA.

Measured once in a child process and kept in the user's cache folder by machine, jaxlib and number
of CPUs: they are the roof that achieved rates are held against.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path

from perfkit.errors import PerfkitError
from perfkit.knobs.configuration import STOCK
from perfkit.knobs.cpus import allowed_cpus
from perfkit.paths import cache_folder
from perfkit.records.machine import fingerprint
from perfkit.trial.environment import child_environment

TIMEOUT_S = 300.0


@dataclass(frozen=True)
class Ceilings:
    """Rates of the best repeat of each program under stock settings on all allowed CPUs."""

    float32_flops_per_s: float
    bfloat16_flops_per_s: float
    copy_bytes_per_s: float
    """Bytes read plus bytes written, a second."""

    def flops_per_s(self, dtype: str) -> float:
        """The product's ceiling for operands of an XLA type such as ``f32`` or ``bf16``."""
        return self.bfloat16_flops_per_s if dtype in ("bf16", "f16") else self.float32_flops_per_s


def measured_ceilings(*, again: bool = False) -> Ceilings:
    """This machine's ceilings, from the cache or measured now (about ten seconds of all CPUs).

    Parameters
    ----------
    again
        Measure even where the cache holds them.

    Raises
    ------
    PerfkitError
        The child that measures died.
    UserError
        The cache folder cannot be created.
    """
    kept = _cache_file()
    if not again and kept.exists():
        try:
            return Ceilings(**json.loads(kept.read_text()))
        except (ValueError, TypeError):
            # Half a file that a crash left, or one of another version: measured anew.
            kept.unlink(missing_ok=True)
    ceilings = _measure()
    scratch = kept.with_suffix(f".{os.getpid()}")
    scratch.write_text(json.dumps(asdict(ceilings)))
    scratch.replace(kept)
    return ceilings


def _cache_file() -> Path:
    same = [fingerprint()["digest"], metadata.version("jaxlib"), len(allowed_cpus())]
    digest = hashlib.sha256(json.dumps(same).encode()).hexdigest()[:12]
    return cache_folder("ceilings") / f"{digest}.json"


def _measure() -> Ceilings:
    asked = subprocess.run(
        [sys.executable, "-m", "perfkit.trial.ceiling_programs"],
        capture_output=True,
        text=True,
        env=child_environment(STOCK),
        timeout=TIMEOUT_S,
        check=False,
    )
    if asked.returncode != 0:
        words = asked.stderr.strip().splitlines()
        raise PerfkitError(f"the ceilings could not be measured: {words[-1] if words else 'died'}")
    return Ceilings(**json.loads(asked.stdout.splitlines()[-1]))
