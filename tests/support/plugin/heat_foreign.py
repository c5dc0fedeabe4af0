"""Pads the plates of ``heatlab``, a program that knows nothing of perfkit: the model's adapter."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType

from perfkit.foreign.adapter import ForeignOptions, SettingsReport

WATCHED: tuple[str, ...] = ("heatlab.solver",)


def adapt(
    module: ModuleType,
    settings: Mapping[str, str],
    options: ForeignOptions,
    report: SettingsReport,
) -> None:
    """Make ``heatlab.solver.nodes`` return the padded number of nodes."""
    own, padded = module.nodes, int(settings["padded"])
    step = options.bucket_step
    if step is not None:
        padded = -(-padded // step) * step

    def nodes(edge: int) -> int:
        report.predicts(f"plate-{edge}", edge)
        if edge > padded:
            report.could_not("padded", f"the plate has {edge} nodes along an edge")
            return int(own(edge))
        report.took_effect("padded")
        return padded

    vars(module)["nodes"] = nodes
