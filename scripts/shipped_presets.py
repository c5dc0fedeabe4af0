"""Write the presets that ship with perfkit from the studies in ``reports/``.

    python scripts/shipped_presets.py

A study is a folder with records and the preset that its tuning wrote. The gain of the preset is
computed anew from the records, with today's statistics: records of an older procedure give a
median without an interval.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from perfkit.errors import UserError
from perfkit.files import remove
from perfkit.presets.known import SHIPPED, read_known_preset
from perfkit.records.depths import FULL_DEPTH
from perfkit.records.schema import Record
from perfkit.records.store import read_records
from perfkit.tuning.choice.recommend import measured_at_own_fidelity
from perfkit.tuning.choice.rows import Row, rows_of
from perfkit.tuning.preset import PRESET_NAME, load_preset, measured_context, write_preset
from perfkit.tuning.search.evidence import Evidence

REPOSITORY = Path(__file__).resolve().parents[1]

VERSIONS = ("python", "jax", "jaxlib", "numpy", "dm-haiku", "tokamax", "alphafold3-colabfold")
"""Packages whose versions the presets state."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Write a file per study and remove those of studies that are gone."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--reports", type=Path, default=REPOSITORY / "reports")
    parser.add_argument("--out", type=Path, default=SHIPPED)
    given = parser.parse_args(arguments)
    written = set()
    for path in sorted(given.reports.glob(f"*/{PRESET_NAME}")):
        written.add(write_shipped(path.parent, given.out))
    for path in given.out.glob("*/*.toml"):
        if path not in written:
            remove(path)


def write_shipped(study: Path, out: Path) -> Path:
    """Write the preset of a study to ``out/MODEL/STUDY.toml``, and return its path.

    Parameters
    ----------
    study
        Folder of the records and of the preset.
    out
        Folder with a folder per model.

    Raises
    ------
    UserError
        The preset cannot be read, or the records hold no gain of its configuration.
    """
    preset = load_preset(study / PRESET_NAME)
    records = [
        record
        for record in measured_at_own_fidelity(read_records(study))
        if record.workload.depth == FULL_DEPTH
    ]
    rows = rows_of(records, Evidence.of_records(records))
    row = next((row for row in rows if row.digest == preset.configuration.digest), None)
    if row is None or row.speedup is None:
        raise UserError(f"the records in {study} hold no gain of its preset")
    path = out / preset.model / f"{study.name}.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_preset(path, preset.model, preset.configuration.as_dict(), measured(study, records, row))
    read_known_preset(path, shipped=True)
    return path


def measured(study: Path, records: Sequence[Record], row: Row) -> dict[str, Any]:
    """The table of measurements of a shipped preset, see :class:`perfkit.presets.known.Measured`.

    Parameters
    ----------
    study
        Folder of the records.
    records
        Its records.
    row
        Row of the preset's configuration.
    """
    speedup = row.speedup
    assert speedup is not None
    context = measured_context(records)
    versions = {name: context["versions"][name] for name in VERSIONS if name in context["versions"]}
    found: dict[str, Any] = {
        **context,
        "versions": versions,
        "cpus": max(record.allowed_cpus for record in records),
        "records": f"{study.parent.name}/{study.name}",
        "trials": list(row.trials),
        "speedup": round(speedup.median, 3),
        "pairs": row.blocks,
        "peak_rss_bytes": row.peak_rss_bytes,
    }
    if speedup.ends is not None:
        found["speedup_interval"] = [round(end, 3) for end in speedup.ends]
    if row.time_s is not None:
        found["steady_s"] = round(row.time_s.median, 3)
    if row.agreement is not None:
        found["agreement"] = row.agreement
    return found


if __name__ == "__main__":
    main()
