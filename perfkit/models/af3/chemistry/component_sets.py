"""The sets of glycans and ions that upstream opens when it is imported."""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import sys
from pathlib import Path

from perfkit.builds import source_digest
from perfkit.models.af3.chemistry.component_files import constants_file
from perfkit.models.af3.chemistry.component_source import read_columns

_MODULE = "alphafold3.constants.chemical_component_sets"
_STEM = "chemical_component_sets"


def find_component_sets() -> dict[str, frozenset[str]]:
    """The glycans and ions of the whole dictionary, by upstream's own criteria.

    They must not come from a reduced dictionary: a glycan missing from them is silently treated
    as a plain ligand.

    Returns
    -------
    dict
        ``glycans_linking``, ``glycans_other`` and ``ions`` -> component codes.
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


def component_sets_file(suffix: str) -> Path:
    """The sets in the cache, in the format of ``suffix`` (``.pickle`` or ``.msgpack``)."""
    # The criteria are those of the package, which any version may change.
    depends_on = {"package": source_digest("alphafold3")}
    return constants_file("sets of glycans and ions", suffix, depends_on, find_component_sets)


def install_component_sets() -> None:
    """Makes upstream importable although its wheel lacks the component sets.

    To be called before anything that imports ``alphafold3.model``. Imports the one module that
    opens the file, with the file's name resolved to the cache where the package has none; nothing
    is left changed, and nothing is written into the package.

    Raises
    ------
    UserError
        The cache cannot be written.
    MissingDependencyError
        biotite, from which the sets are built, lacks its dictionary.
    """
    if _MODULE in sys.modules:
        return
    from alphafold3.common import resources

    packaged_filename = resources.filename

    def filename(name: str | os.PathLike[str]) -> str:
        packaged = Path(packaged_filename(name))
        if packaged.stem == _STEM and not packaged.exists():
            return str(component_sets_file(packaged.suffix))
        return str(packaged)

    resources.filename = filename
    try:
        importlib.import_module(_MODULE)
    finally:
        resources.filename = packaged_filename
