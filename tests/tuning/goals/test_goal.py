"""Goals from what a user writes: objectives, shares and prices, and what is refused."""

from __future__ import annotations

import pytest

from perfkit.answers.agreement import AgreementClass
from perfkit.errors import UserError
from perfkit.tuning.choice.memory_exchange import least_gain
from perfkit.tuning.goals.constraints import Constraints
from perfkit.tuning.goals.goal import Goal, make_goal
from perfkit.tuning.goals.objectives import Cost, Latency, Memory, Throughput
from perfkit.tuning.goals.prices import Prices, parse_prices


def test_the_default_is_the_shortest_prediction() -> None:
    assert make_goal() == Goal(Latency(0.03), Constraints(None, AgreementClass.BFLOAT16, True))


@pytest.mark.parametrize(
    ("goal", "expected"),
    [
        (make_goal("throughput", memory_exchange="5 %"), Throughput(0.05)),
        (make_goal("memory"), Memory(0.1)),
        (make_goal("memory", slack="20%"), Memory(0.2)),
        (make_goal("memory", slack="0,25"), Memory(0.25)),
        (make_goal("memory", slack=0), Memory(0.0)),
        (make_goal("cost", price="1.20"), Cost(Prices(node=1.2))),
        (make_goal("cost", price=1.2), Cost(Prices(node=1.2))),
        (make_goal("cost", price="cpu=0.04, memory=0.005"), Cost(Prices(0.0, 0.04, 0.005))),
    ],
)
def test_options_reach_their_objective(goal: Goal, expected: object) -> None:
    assert goal.objective == expected


def test_a_goal_is_said_with_its_constraints() -> None:
    goal = make_goal("memory", agreement="float32", preload=False, memory_bytes=4_000_000_000)
    assert goal.sentence == (
        "objective: memory, within 10 % of the fastest time; at most 4.0 GB of memory; agreement "
        "class float32 or stricter; no LD_PRELOAD"
    )
    priced = make_goal("cost", price="cpu=0.04,memory=0.005")
    assert priced.sentence == "objective: cost at 0.04 per CPU-hour and 0.005 per GB-hour"


def test_different_goals_have_different_keys() -> None:
    goals = [
        make_goal(),
        make_goal(memory_exchange=0),
        make_goal("throughput"),
        make_goal("memory"),
        make_goal("memory", slack=0.2),
        make_goal("cost", price=1),
        make_goal("cost", price="cpu=1"),
        make_goal(agreement="float32"),
        make_goal(preload=False),
        make_goal(memory_bytes=1),
        make_goal(pareto=True),
    ]
    assert len({str(goal.key()) for goal in goals}) == len(goals)
    assert make_goal().key() == make_goal("latency").key()


@pytest.mark.parametrize(
    ("objective", "options", "message"),
    [
        ("latencie", {}, "unknown objective 'latencie'; the nearest is 'latency'"),
        ("memory", {"slack": "-5%"}, "--slack takes 0 or more, up to 10, not '-5%'"),
        ("memory", {"slack": -0.1}, "--slack takes 0 or more"),
        ("memory", {"slack": "some"}, "--slack takes a share such as 0.1 or 10%, not 'some'"),
        ("memory", {"slack": float("nan")}, "--slack takes 0 or more"),
        ("latency", {"slack": "5%"}, "--slack has no influence on objective 'latency'"),
        ("latency", {"memory_exchange": "-1"}, "--memory-exchange takes 0 or more"),
        ("memory", {"memory_exchange": "1%"}, "it goes with latency and throughput"),
        ("cost", {}, "objective 'cost' needs a price: give --price"),
        ("latency", {"price": "1"}, "--price has no influence on objective 'latency'"),
        ("cost", {"price": "0"}, "at a price of '0' time costs nothing"),
        ("cost", {"price": 0}, "time costs nothing"),
        ("cost", {"price": "memory=1"}, "time costs nothing"),
        ("cost", {"price": "-1"}, "a price cannot be negative, but '-1' is"),
        ("cost", {"price": "cheap"}, "'cheap' is not a price of an hour; write for example 1.20"),
        ("cost", {"price": ""}, "'' is not a price of an hour"),
        ("cost", {"price": "gpu=1"}, "is not a price of an hour"),
        ("cost", {"price": "cpu=1,cpu=2"}, "is not a price of an hour"),
        ("cost", {"price": float("nan")}, "is not a price of an hour"),
        ("cost", {"price": "node=1,cpu=2"}, "pays twice"),
        ("latency", {"agreement": "float16"}, "unknown agreement class 'float16'; the nearest is"),
    ],
)
def test_an_impossible_goal_is_refused(
    objective: str, options: dict[str, str | float], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        make_goal(objective, **options)  # type: ignore[arg-type]  # options of several types


def test_an_hour_costs_what_is_used_of_it() -> None:
    # 2 CPUs at 0.04 and 4 GB at 0.005.
    by_use = parse_prices("cpu=0.04,memory=0.005")
    assert by_use.hourly(2, 4_000_000_000) == pytest.approx(0.10)
    assert parse_prices("1.2").hourly(2, 4_000_000_000) == pytest.approx(1.2)


@pytest.mark.parametrize(
    ("ratio", "exchange", "gain"),
    [
        (2.0, 0.03, 1.03),
        (4.0, 0.03, 1.03**2),
        (2**0.5, 0.21, 1.1),
        (1.04, 0.03, 1.0),
        (1.0, 0.03, 1.0),
        (0.25, 0.03, 1.0),
        (8.0, 0.0, 1.0),
    ],
)
def test_each_doubling_of_memory_needs_the_same_gain(
    ratio: float, exchange: float, gain: float
) -> None:
    assert least_gain(ratio, exchange) == pytest.approx(gain)
