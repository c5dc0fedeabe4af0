"""Write tables as files of CSV and Parquet."""

from __future__ import annotations

from pathlib import Path

from perfkit.packages import missing_packages, missing_sentence
from perfkit.report.export.frames import Tables
from perfkit.report.export.outputs import written_folder

DESCRIPTION = "data"

PARQUET = "pyarrow"
"""Package with which pandas writes Parquet."""


def can_write_parquet() -> bool:
    """Whether the package is installed that writes Parquet."""
    return not missing_packages([PARQUET])


def write_data(folder: Path, tables: Tables, *, parquet: bool) -> str:
    """Write each table as ``NAME.csv``, and as ``NAME.parquet`` where that is possible.

    A missing value is an empty cell in CSV, and null in Parquet.

    Parameters
    ----------
    folder
        Folder to write; see :func:`perfkit.report.export.outputs.written_folder`.
    tables
        Tables by name.
    parquet
        Whether to write Parquet too, see :func:`can_write_parquet`.

    Returns
    -------
    str
        What was not written and why; empty if everything was.

    Raises
    ------
    UserError
        The folder holds files of others, or cannot be written.
    """
    with written_folder(folder, DESCRIPTION) as files:
        for name, table in tables.items():
            table.to_csv(files / f"{name}.csv", index=False)
            if parquet:
                table.to_parquet(files / f"{name}.parquet", index=False, engine="pyarrow")
    return "" if parquet else f"only CSV was written: {missing_sentence('Parquet', [PARQUET])}"
