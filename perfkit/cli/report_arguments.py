"""Arguments that name what is written in addition to a page."""

from __future__ import annotations

import argparse
from pathlib import Path

from perfkit.api.reporting import ReportOutputs, ReportResult
from perfkit.cli.console import Console
from perfkit.errors import UserError


def add_output_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``--bundle``, ``--data`` and ``--png``."""
    group = parser.add_argument_group("what is written in addition to the page")
    group.add_argument(
        "--bundle",
        type=Path,
        metavar="PATH",
        help="folder, or file that ends in .zip, with the page, records, preset and artifacts, to "
        "open on another machine",
    )
    group.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        help="folder for the data of all figures and tables, as CSV and (with pyarrow) Parquet",
    )
    group.add_argument(
        "--png",
        type=Path,
        metavar="DIR",
        help="folder for pictures of the figures; needs Chromium or Google Chrome",
    )


def outputs_of(given: argparse.Namespace, *, elsewhere: bool = False) -> ReportOutputs:
    """The outputs of a command line.

    Parameters
    ----------
    given
        Parsed arguments.
    elsewhere
        Whether the command only submits work, whose results come later.

    Raises
    ------
    UserError
        Outputs are asked for before there are results.
    """
    outputs = ReportOutputs(given.bundle, given.data, given.png)
    if elsewhere and outputs != ReportOutputs():
        raise UserError(
            "--bundle, --data and --png need results, which workers leave later; "
            "give them to 'perfkit report' when the study is done"
        )
    return outputs


def show_outputs(result: ReportResult, console: Console) -> None:
    """Print where the outputs are, and what is missing."""
    for name in ("bundle", "data", "pictures"):
        path = getattr(result, name)
        if path is not None:
            console.line(f"{name}: {path}")
    for remark in result.remarks:
        console.line(f"note: {remark}")
