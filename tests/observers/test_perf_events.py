"""Output of perf, parsed."""

from __future__ import annotations

from perfkit.observers.perf_events import parse_counts, parse_symbols

STAT = """# started on Tue Nov 24 04:29:00 2026

401.19,msec,task-clock,401190000,100.00,0.181,CPUs utilized
3540,,page-faults:u,401190000,100.00,,
<not supported>,,instructions,0,100.00,,
<not counted>,,cycles,0,0.00,,
"""

REPORT = """
    88.10%  libjax_common.so      [.] ynn::dot_fp32<4, 2>                  -      -
     4.25%  [kernel.kallsyms]     [k] clear_page_erms
"""


def test_counts_and_the_events_without_count_are_read() -> None:
    counts, uncounted = parse_counts(STAT)
    assert counts == {"task-clock": 401.19, "page-faults": 3540.0}
    assert uncounted == ["instructions", "cycles"]


def test_symbols_are_read_with_their_library_and_share() -> None:
    assert parse_symbols(REPORT) == {
        "ynn::dot_fp32<4, 2> [libjax_common.so]": 0.8810,
        "clear_page_erms [[kernel.kallsyms]]": 0.0425,
    }
