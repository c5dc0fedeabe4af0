"""``--jaxlib`` of doctor, sweep and tune: what is refused before anything is installed."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from perfkit.cli.commands import sweep, tune
from perfkit.cli.commands.doctor import doctor
from perfkit.errors import UserError

SMALL = ["--model", "gencast", "--resolution", "10", "--mesh", "1"]


@pytest.mark.parametrize(
    "command",
    [
        doctor.main,
        lambda given: sweep.main([*SMALL, *given]),
        lambda given: tune.main([*SMALL, *given]),
    ],
    ids=["doctor", "sweep", "tune"],
)
def test_what_is_no_version_is_named(command: Callable[[list[str]], int]) -> None:
    with pytest.raises(UserError, match=r"--jaxlib takes versions such as .*, not 'newest'"):
        command(["--jaxlib", "0.11.0,newest"])


def test_doctor_compares_versions_under_stock_settings_only() -> None:
    with pytest.raises(UserError, match="leave out --preset, --knob and --python"):
        doctor.main(["--jaxlib", "0.11.0", "--knob", "xla_cpu_max_isa=AVX"])
