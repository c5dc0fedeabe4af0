"""Inventories: messages name the machine and the key."""

from __future__ import annotations

from pathlib import Path

import pytest

from perfkit.capacity.queue.machines import read_inventory
from perfkit.errors import UserError
from tests.support.planted import INVENTORY as GOOD


def _toml(folder: Path, text: str) -> Path:
    path = folder / "machines.toml"
    path.write_text(text)
    return path


def test_an_inventory_is_read(tmp_path: Path) -> None:
    inventory = read_inventory(_toml(tmp_path, GOOD))
    (machine,) = inventory.machines
    assert (machine.count, machine.cores, machine.memory_bytes) == (4, 64, 256 * 10**9)
    assert (machine.time_limit_s, machine.price_per_hour, machine.watts) == (86400, 2.5, 350)
    assert inventory.currency == "CHF"


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ('memory = "256GB"\n', "", "machine 'epyc': memory field required"),
        ('memory = "256GB"', 'memory = "0GB"', "memory is '0GB': a size of 0GB is too small"),
        ('memory = "256GB"', 'memory = "lots"', "memory is 'lots': 'lots' is not a size"),
        ('memory = "256GB"', "memory = 256", "memory is 256: write it in quotes and with"),
        ('"24h"', "12:00:00", "write it in quotes and with its unit, such as 90s"),
        (
            "count = 4",
            "count = 1000000000000000",
            "count is 1000000000000000: input",
        ),
        ("count = 4", "count = true", "count is True: input should be a valid integer"),
        ("speed = 1.5", "speed = nan", "speed is nan: input should be a finite number"),
        ("speed = 1.5", "speed = 1e9", "speed is 1000000000.0: input should be less"),
        ("cores = 64", "cores = 0", "cores is 0: input should be greater than or equal to 1"),
        ("count = 4", "count = -1", "count is -1"),
        ("speed = 1.5\n", "", "it needs either calibration"),
        ("speed = 1.5", "speed = 0", "speed is 0"),
        ("speed = 1.5", 'calibration = "none.toml"', "none.toml cannot be read"),
        ('"24h"', '"soon"', "time_limit is 'soon'"),
        ("price_per_hour = 2.5", 'price_per_hour = "much"', "price_per_hour is 'much'"),
        ('partition = "long"', 'partition = "a; rm b"', "partition is 'a; rm b'"),
    ],
)
def test_a_bad_machine_is_rejected(tmp_path: Path, old: str, new: str, expected: str) -> None:
    text = GOOD.replace(old, new) + '[[machine]]\nname="b"\ncores=2\nmemory="8GB"\nspeed=1\n'
    inventory = read_inventory(_toml(tmp_path, text))
    assert [machine.name for machine in inventory.machines] == ["b"]
    (reject,) = inventory.rejects
    assert expected in reject.sentence


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", r"it needs a \[\[machine\]\]"),
        ("[[machine", "is not TOML"),
        (GOOD.replace("cores", "kores"), "key 'kores' is unknown; the nearest is 'cores'"),
        ("machine = " + "[" * 100_000, "is not TOML: it is nested too deeply"),
        ("count = " + "9" * 5000, "is not TOML: "),
        (GOOD.replace('"CHF"', "1"), "currency is 1, expected a word such as EUR"),
        (GOOD.replace("CHF", "C\\u001bF"), "expected a word such as EUR"),
        (GOOD.replace("currency", "curency"), "key 'curency' is unknown"),
    ],
)
def test_another_file_is_refused_as_an_inventory(tmp_path: Path, text: str, expected: str) -> None:
    with pytest.raises(UserError, match=expected):
        read_inventory(_toml(tmp_path, text))


def test_a_repeated_name_is_rejected(tmp_path: Path) -> None:
    inventory = read_inventory(_toml(tmp_path, GOOD + GOOD.replace('currency = "CHF"', "")))
    assert len(inventory.machines) == 1
    assert "the name occurs twice" in inventory.rejects[0].sentence


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("machine = [1, 2]", "machine number 1: it is 1, expected a table of name, count, cores"),
        ("machine = [[]]", "machine number 1: it is [], expected a table"),
        (
            'machine = [{ name = ["a"], cores = 1 }]',
            "name is ['a']: input should be",
        ),
    ],
)
def test_an_entry_that_is_not_a_table_is_rejected(tmp_path: Path, text: str, expected: str) -> None:
    assert expected in read_inventory(_toml(tmp_path, text)).rejects[0].sentence


def test_good_machines_among_bad_ones_are_kept(tmp_path: Path) -> None:
    good = '{ name = "b", cores = 2, memory = "8 GB", speed = 1, time_limit = "2-00:00:00" }'
    inventory = read_inventory(_toml(tmp_path, f"machine = [1, {good}, []]"))
    assert [(m.name, m.memory_bytes, m.time_limit_s) for m in inventory.machines] == [
        ("b", 8 * 10**9, 172_800)
    ]
    assert len(inventory.rejects) == 2


def test_an_inventory_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    path = tmp_path / "machines.toml"
    path.write_bytes(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode())
    assert len(read_inventory(path).machines) == 1
