"""What ``perfkit plan`` and ``perfkit plan fit`` print."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from perfkit.cli.console import Console

if TYPE_CHECKING:
    from perfkit.capacity.fit import ModelFit
    from perfkit.report.plain_table import PlainTable


def print_table(console: Console, table: PlainTable) -> None:
    """A table of texts, numbers to the right."""
    drawn = Table(title=table.heading or None, title_justify="left")
    for header in table.headers:
        drawn.add_column(Text(header))
    for row in table.rows:
        drawn.add_row(*map(Text, row))
    console.rich.print(drawn)


def print_fit(console: Console, fit: ModelFit) -> None:
    """The laws, and how far they were off on what they have not seen."""
    from perfkit.report.fit_tables import accuracy_table, fit_sentence, law_table

    console.line(fit_sentence(fit))
    for notice in fit.notices:
        console.line(f"  note: {notice}")
    print_table(console, law_table(fit))
    accuracy = accuracy_table(fit)
    if accuracy.rows:
        print_table(console, accuracy)
    else:
        console.line("too few sizes to leave any out: the fit is not judged")
