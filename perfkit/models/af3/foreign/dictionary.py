"""Has a program of others read its component dictionary by an index, component by component.

DeepMind's package reads all 51,000 components into the process, which take 2.6 GB. perfkit's own
trials read them by an index (:mod:`perfkit.models.af3.chemistry.component_index`), so that the
memory of a preset's measurements is only that of a program which does so, too.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, MutableMapping
from pathlib import Path
from types import ModuleType

from perfkit.errors import UserError
from perfkit.foreign.adapter import SettingsReport
from perfkit.models.af3.chemistry.component_index import (
    Component,
    ComponentIndex,
    LayeredComponents,
    file_attribute,
    index_file,
    whole_reader,
)

INDEXED = "the component dictionary is read by an index, which holds the same components"

type Index = Callable[[Path], Path]
"""Returns the index of a dictionary, see
:func:`perfkit.models.af3.chemistry.component_index.index_file`."""


def adapt_dictionary(module: ModuleType, report: SettingsReport, index: Index = index_file) -> None:
    """Make ``alphafold3.constants.chemical_components`` read its own dictionary by an index.

    A package that has an index of its own, or reads in another way, is left alone.

    Parameters
    ----------
    module
        The module.
    report
        Where to report that the index is in use, or why not.
    index
        Returns the index.
    """
    reader, attribute = whole_reader(module), file_attribute(module)
    if reader is None or attribute is None:
        return
    own: Callable[[object], MutableMapping[str, Component]] = getattr(module, reader)
    shipped = Path(getattr(module, attribute)).resolve()

    # As upstream's function: what an input adds to the components reaches the next input.
    @functools.cache
    def load(path: str | os.PathLike[str]) -> MutableMapping[str, Component]:
        if Path(path).resolve() != shipped:
            return own(path)
        try:
            components = LayeredComponents(ComponentIndex(index(shipped)))
        except (UserError, OSError) as error:
            report.say(f"the component dictionary is not read by an index: {error}")
            return own(path)
        report.say(INDEXED)
        return components

    setattr(module, reader, load)
