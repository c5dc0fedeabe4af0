"""Every kind of cache that perfkit keeps, with a builder that counts, and damage to its files.

A builder stands in for what takes long (a compiler, jaxlib, a measurement); everything that is
written, read and checked is perfkit's own.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType, SimpleNamespace
from typing import Any

import numpy as np

from perfkit.capacity.laws.calibration import calibrate, earlier_calibration
from perfkit.kernels.build.compiler import Compiler
from perfkit.kernels.build.library import Recipe, built
from perfkit.kernels.kernel import Kernel
from perfkit.knobs.installed_flags import cached_flags
from perfkit.models.af3.chemistry.component_cache import constants_file
from perfkit.models.af3.weights import synthetic_parameters_mapped
from perfkit.observers.roofline.ceilings import (
    Ceilings,
    Circumstances,
    Measurement,
    measured_ceilings,
)
from perfkit.trial.answers import holds_answers, load_answers, save_answers
from perfkit.trial.conditions.jaxlib_standing import Standing, known_standing, store_standing
from perfkit.trial.worker.programs import Programs
from tests.support.planted import record

BUILD = "0.0.0+test"
"""Build of a jaxlib that is not installed."""

SIDE = 100


class Counter:
    """Counts how often something was built.

    Attributes
    ----------
    built
        How often.
    """

    def __init__(self) -> None:
        self.built = 0

    def __call__[T](self, value: T) -> T:
        self.built += 1
        return value


type Use = Callable[[Path, Counter], object]
"""Gets a value through a cache in a folder, and builds it if necessary."""


def _xla_flags(folder: Path, count: Counter) -> object:
    return cached_flags(BUILD, lambda: count({"xla_a": "1", "xla_b": "true"}))


def _ceilings(folder: Path, count: Counter) -> object:
    measured = Measurement(Ceilings(1e11, 2e11, 1e10), quiet=True)
    here = Circumstances("this one", "1", "2", (0, 1))
    return measured_ceilings(circumstances=here, measure=lambda: count(measured))


def _components(folder: Path, count: Counter) -> object:
    sets = {"glycans": frozenset(("NAG", "MAN"))}
    return constants_file("sets of a test", ".pickle", {}, lambda: count(sets)).read_bytes()


def _weights(folder: Path, count: Counter) -> object:
    shapes = {"linear": {"weights": SimpleNamespace(shape=(SIDE, SIDE), dtype=np.dtype("f4"))}}
    parameters: Mapping[str, Any] = synthetic_parameters_mapped(
        lambda: count(shapes), float32=True, package={"name": "test"}
    )
    return parameters["linear"]["weights"].tobytes()


COMPILER = """#!/bin/sh
echo called >> "$(dirname "$0")/calls"
while [ "$#" -gt 1 ]; do if [ "$1" = -o ]; then echo library > "$2"; fi; shift; done
"""


def _kernels(folder: Path, count: Counter) -> object:
    sources, program = folder / "sources", folder / "sources" / "compiler"
    sources.mkdir(exist_ok=True)
    (sources / "a.cc").write_text("// nothing")
    program.write_text(COMPILER)
    program.chmod(0o755)
    recipe = Recipe(
        (Kernel("a", "a.cc", ("A",)),), sources, "avx2", Compiler((str(program),), "(test) 1.0")
    )
    library = built(recipe).read_bytes()
    # One source and the library are two calls.
    count.built = len((sources / "calls").read_text().splitlines()) // 2
    return library


def _standing(folder: Path, count: Counter) -> object:
    found = known_standing("", BUILD)
    if found is None:
        found = count(Standing(BUILD, "", 3, ("sums",)))
        store_standing(found, BUILD)
    return found


def _calibration(folder: Path, count: Counter) -> object:
    path = folder / "cache" / "calibration.toml"
    path.parent.mkdir(exist_ok=True)
    found = earlier_calibration(path)
    if found is None:
        found = count(calibrate([record(32)], {"copy_bytes_per_s": 1e10}, None))
        found.save(path)
    return found.trials


def _programs(folder: Path, count: Counter) -> object:
    trial = Programs(folder / "cache" / "compiled", folder / "own", "this installation")
    program = trial.offer() / "jit_f-0123abcd-cache"
    if not program.exists():
        program.write_bytes(count(b"machine code" * SIDE))
        trial.publish()
    code = program.read_bytes()
    trial.close()
    return code


def _reference(folder: Path, count: Counter) -> object:
    path = folder / "cache" / "reference.answers"
    path.parent.mkdir(exist_ok=True)
    if not holds_answers(path):
        save_answers(path, count({"positions": np.arange(SIDE, dtype=np.float32)}))
    return load_answers(path)["positions"].tobytes()


CACHES: Mapping[str, Use] = MappingProxyType(
    {
        "list of XLA flags": _xla_flags,
        "ceilings": _ceilings,
        "components": _components,
        "weights": _weights,
        "native kernels": _kernels,
        "verdict on jaxlib": _standing,
        "calibration": _calibration,
        "compiled programs": _programs,
        "reference answers": _reference,
    }
)
"""How each kind of cache is used; all files that are kept lie in ``cache``."""


@dataclass(frozen=True)
class Damage:
    """A damage to a file.

    Attributes
    ----------
    of
        Returns the damaged content for the content of a file that was not damaged.
    """

    of: Callable[[bytes, random.Random], bytes]


def _truncated(content: bytes, chance: random.Random) -> bytes:
    return content[: chance.randrange(len(content))]


def _one_bit(content: bytes, chance: random.Random) -> bytes:
    flipped = bytearray(content)
    flipped[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    return bytes(flipped)


def _another_version(content: bytes, chance: random.Random) -> bytes:
    """The content with the number of a version that this perfkit does not read."""
    for own, other in (
        (b"perfkit sealed file 1", b"perfkit sealed file 9"),
        (b"version = 2", b"version = 9"),
    ):
        if own in content:
            return content.replace(own, other, 1)
    # Files without a number of their own are as long as another version made them.
    return content + content


DAMAGES: Mapping[str, Damage] = MappingProxyType(
    {
        "truncated": Damage(_truncated),
        "one bit flipped": Damage(_one_bit),
        "of another version": Damage(_another_version),
    }
)
"""Damages by name."""


def cache_files(folder: Path) -> list[Path]:
    """The files of a cache, without locks, which hold nothing."""
    files = (folder / "cache").rglob("*")
    return sorted(path for path in files if path.is_file() and path.suffix != ".lock")


def fault_of_cache(
    use: Use, damage: Damage, folder: Path, chance: random.Random, said: Callable[[], int]
) -> str:
    """Damage one file of a cache, and return what does not hold afterwards; empty if all holds.

    Parameters
    ----------
    use
        How the cache is used. The variable of the cache's folder must name ``folder / "cache"``.
    damage
        What happens to a file.
    folder
        Empty folder.
    chance
        Chooses the file and the place.
    said
        Returns the number of warnings so far.
    """
    count = Counter()
    expected = use(folder, count)
    if use(folder, count) != expected or count.built != 1:
        return f"the undamaged cache was built {count.built} times"
    path = chance.choice(cache_files(folder))
    path.write_bytes(damage.of(path.read_bytes(), chance))
    before = said()
    values = [use(folder, count), use(folder, count)]
    if values != [expected] * 2:
        return f"the damaged file {path.name} was used"
    if count.built != 2:
        return f"it was built {count.built} times after damage to {path.name}"
    if said() - before != 1:
        return f"{said() - before} warnings on the damaged file {path.name}"
    return ""
