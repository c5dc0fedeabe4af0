"""Builds the sets of glycans and ions that upstream reads when it is imported."""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import sys
from collections.abc import Callable
from pathlib import Path

from perfkit.builds import source_digest
from perfkit.models.af3.chemistry.biotite_dictionary import read_columns
from perfkit.models.af3.chemistry.component_cache import constants_file

_MODULE = "alphafold3.constants.chemical_component_sets"
_STEM = "chemical_component_sets"


def find_glycan_ion_sets() -> dict[str, frozenset[str]]:
    """Find the glycans and ions of the whole dictionary by upstream's own criteria.

    A reduced dictionary is not enough: upstream silently treats a glycan that is missing from
    the sets as a plain ligand.

    Returns
    -------
    dict
        ``glycans_linking``, ``glycans_other`` and ``ions`` -> component codes.

    Raises
    ------
    MissingDependencyError
        biotite was installed without its dictionary.
    """
    from alphafold3.constants.converters import chemical_component_sets_gen as generator

    columns = read_columns("chem_comp", ("id", "type", "name"))
    whole = {
        code: {"_chem_comp.type": [kind], "_chem_comp.name": [name]}
        for code, kind, name in zip(columns["id"], columns["type"], columns["name"], strict=True)
    }
    # Upstream draws a progress bar where standard error is a terminal.
    with contextlib.redirect_stderr(io.StringIO()):
        found = generator.find_ions_and_glycans_in_ccd(whole)
    return {name: frozenset(codes) for name, codes in found.items()}


def glycan_ion_sets_file(
    suffix: str,
    package_digest: str | None = None,
    find: Callable[[], dict[str, frozenset[str]]] = find_glycan_ion_sets,
) -> Path:
    """Return the cached file of the sets; build it if it is missing or damaged.

    Parameters
    ----------
    suffix
        Format of the file: ``.pickle`` or ``.msgpack``.
    package_digest
        Digest of the package's sources, part of the cache key; by default that of the installed
        ``alphafold3``.
    find
        Returns the sets. Called only if the file has to be built.

    Raises
    ------
    UserError
        The format is unknown, or the cache cannot be written.
    MissingDependencyError
        biotite was installed without its dictionary.
    """
    # The criteria are those of the package, and any version may change them.
    depends_on = {"package": package_digest or source_digest("alphafold3")}
    return constants_file("sets of glycans and ions", suffix, depends_on, find)


def provide_glycan_ion_sets() -> None:
    """Make upstream importable although its wheel lacks the component sets.

    Call it before anything imports ``alphafold3.model``. It imports the one upstream module that
    opens the file and, while it does, resolves the file's name to the cache if the package has no
    such file. Afterwards upstream is as before; nothing is written into the package.

    Raises
    ------
    UserError
        The cache cannot be written.
    MissingDependencyError
        biotite, whose dictionary the sets are built from, was installed without it.
    """
    if _MODULE in sys.modules:
        return
    from alphafold3.common import resources

    packaged_filename = resources.filename

    def filename(name: str | os.PathLike[str]) -> str:
        packaged = Path(packaged_filename(name))
        if packaged.stem == _STEM and not packaged.exists():
            return str(glycan_ion_sets_file(packaged.suffix))
        return str(packaged)

    resources.filename = filename
    try:
        importlib.import_module(_MODULE)
    finally:
        resources.filename = packaged_filename
