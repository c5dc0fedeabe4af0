"""CPUs are shared equally, and NUMA nodes and cores stay together."""

from __future__ import annotations

from pathlib import Path

import pytest

from perfkit.errors import UserError
from perfkit.knobs.topology import (
    InstanceNumber,
    Place,
    parse_instance,
    pieces,
    places,
    sensible_counts,
    shares,
)


def _machine(folder: Path, nodes: dict[int, str], siblings: dict[int, str]) -> Path:
    """The kernel's description of a machine: CPUs of each node, and of each CPU's core."""
    for node, cpus in nodes.items():
        own = folder / "node" / f"node{node}"
        own.mkdir(parents=True)
        (own / "cpulist").write_text(f"{cpus}\n")
    for cpu, core in siblings.items():
        own = folder / "cpu" / f"cpu{cpu}" / "topology"
        own.mkdir(parents=True)
        (own / "thread_siblings_list").write_text(f"{core}\n")
    return folder


def test_threads_of_a_core_and_cpus_of_a_node_are_neighbours(tmp_path: Path) -> None:
    # Two sockets of two cores with two threads: CPUs 0 and 4 are one core, 1 and 5 another.
    siblings = {cpu: f"{cpu % 4},{cpu % 4 + 4}" for cpu in range(8)}
    system = _machine(tmp_path, {0: "0-1,4-5", 1: "2-3,6-7"}, siblings)
    found = places(range(8), system)
    assert [place.cpu for place in found] == [0, 4, 1, 5, 2, 6, 3, 7]
    assert [place.node for place in found] == [0, 0, 0, 0, 1, 1, 1, 1]
    assert shares(found, 2) == ((0, 1, 4, 5), (2, 3, 6, 7))
    assert shares(found, 4) == ((0, 4), (1, 5), (2, 6), (3, 7))


def test_a_machine_that_the_kernel_does_not_describe_has_one_node(tmp_path: Path) -> None:
    assert places([3, 1], tmp_path) == (Place(0, 1, 1), Place(0, 3, 3))


def test_cpus_that_are_left_over_belong_to_no_share() -> None:
    where = tuple(Place(0, cpu, cpu) for cpu in range(7))
    assert shares(where, 3) == ((0, 1), (2, 3), (4, 5))
    assert pieces(where, 3) == ((0, 1, 2), (3, 4, 5))


def test_more_shares_than_cpus_are_refused() -> None:
    where = (Place(0, 0, 0), Place(0, 1, 1))
    with pytest.raises(UserError, match="3 instances need a CPU each, but only 2 are allowed here"):
        shares(where, 3)


@pytest.mark.parametrize(
    ("nodes", "counts"),
    [
        ([8], (1, 2, 4, 8)),
        ([6], (1, 2, 3, 6)),
        ([4, 4], (1, 2, 4, 8)),
        # Two halves of three nodes would divide the second node.
        ([4, 4, 4], (1, 3, 6, 12)),
        # A container that may use six CPUs of one node and two of another.
        ([6, 2], (1, 4, 8)),
        ([1], (1,)),
    ],
)
def test_sensible_counts_use_all_cpus_and_divide_no_node(
    nodes: list[int], counts: tuple[int, ...]
) -> None:
    sizes = [node for node, size in enumerate(nodes) for _ in range(size)]
    where = tuple(Place(node, cpu, cpu) for cpu, node in enumerate(sizes))
    assert sensible_counts(where) == counts


def test_an_instance_is_its_number_and_the_number_of_all() -> None:
    assert parse_instance("2/4") == InstanceNumber(2, 4)
    assert parse_instance(" 1/1 ") == InstanceNumber(1, 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0/2", "there is no instance 0 of 2: count from 1 to 2"),
        ("3/2", "there is no instance 3 of 2"),
        ("1/0", "there is no instance 1 of 0"),
        ("2", "'2' is not an instance: write its number and the number of all, e.g. 1/2"),
        ("1/2/3", "is not an instance"),
        ("-1/2", "is not an instance"),
        ("a/b", "is not an instance"),
        ("", "is not an instance"),
        ("1/9999999", "is not an instance"),
    ],
)
def test_nonsense_is_no_instance(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        parse_instance(text)
