"""Records as a data frame, one row per trial."""

from __future__ import annotations

import statistics
from pathlib import Path

import pandas as pd

from perfkit.records.schema import Record
from perfkit.records.store import read_records


def read_frame(folder: Path) -> pd.DataFrame:
    """Read the records of a folder as a data frame, oldest first.

    Raises
    ------
    UserError
        The folder does not exist, or all that it holds was written by a newer perfkit.
    """
    return pd.DataFrame([_row(record) for record in read_records(folder)])


def _row(record: Record) -> dict[str, object]:
    steady_s = [stage.wall_s for stage in record.steady]
    return {
        "id": record.id,
        "created": record.created,
        "role": record.role,
        "model": record.workload.model,
        "workload": record.workload.name,
        "size": record.workload.size,
        "configuration": record.configuration.label,
        "outcome": str(record.outcome),
        "steady_s": statistics.median(steady_s) if steady_s else None,
        "peak_rss_bytes": record.peak_rss_bytes,
        "agreement": record.agreement.reached if record.agreement else None,
    }
