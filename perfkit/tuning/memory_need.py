"""The memory that trials need side by side, before they are started."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from perfkit.models.base import Model
from perfkit.tuning.search.settings import Settings, process_settings
from perfkit.tuning.session import Start

FURTHER_SHARE = 0.25
"""Memory of a further program in a process, relative to its estimate for a process of its own. It
holds its code and its parameters; temporary buffers are freed after each pass, and imported
packages are there once. With AlphaFold 3 and 76 tokens, a process grew from 2.0 GB with one program
to 4.0 GB with nine, estimated at 2.7 GB each, and by 1.35 GB for parameters as constants, estimated
at 5.25 GB."""


def needed_bytes(model: Model, starts: Sequence[Start]) -> float:
    """Predicted peak memory of trials that are alive side by side.

    Parameters
    ----------
    model
        Predicts the memory of a process with a single trial.
    starts
        The trials. Those that may share a process count as one process for each set of settings
        that hold for a whole process.
    """
    alone = 0.0
    processes: dict[Settings, list[float]] = defaultdict(list)
    for start in starts:
        estimate = float(model.memory_estimate_bytes(start.workload, start.configuration))
        if start.shared_process:
            processes[process_settings(start.configuration.settings)].append(estimate)
        else:
            alone += estimate
    shared = (max(own) + FURTHER_SHARE * (sum(own) - max(own)) for own in processes.values())
    return alone + sum(shared)
