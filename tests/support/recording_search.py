"""A search for bad values that finds the same location everywhere and keeps its arguments."""

from __future__ import annotations

import dataclasses

from perfkit.diagnose.locate.finding import Finding
from perfkit.diagnose.locate.workload import SearchResult
from perfkit.guard.analysis.origin import Origin
from perfkit.knobs.configuration import Configuration
from perfkit.models.workload import Workload


@dataclasses.dataclass
class RecordingSearch:
    """Stands in for :func:`perfkit.diagnose.locate.workload.locate_in_workload`."""

    result: SearchResult
    calls: list[tuple[Workload, Configuration, str]] = dataclasses.field(default_factory=list)

    def __call__(
        self, workload: Workload, configuration: Configuration, guard: str
    ) -> SearchResult:
        self.calls.append((workload, configuration, guard))
        return self.result


def found_in_call(call: int) -> RecordingSearch:
    """A search that finds a NaN of ``sqrt`` in line 7 of ``model.py``."""
    origin = Origin("model.py", 7, "step", "denoiser")
    return RecordingSearch(SearchResult(Finding("nan", "found", "sqrt", origin), call))
