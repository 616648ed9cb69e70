"""Other tools: what is done with their numbers and answers."""

from pathlib import Path

from loadtests.contestants import CLASS_PATH, CONTESTANTS, HERE, PEERS
from loadtests.peers import _Answer, by_cost, differences, prepared, table
from loadtests.race import Result


def result(contestant: str, *, rate: float, cpu_us: float) -> Result:
    return Result(
        contestant=contestant,
        events=1_000_000,
        wall_s=1_000_000 / rate,
        cpu_s=cpu_us,
        peak_rss_bytes=100 << 20,
        written=1_000_000,
        exit_code=0,
        stages_us={},
    )


ROUNDS = [
    [result("sidecar", rate=100_000, cpu_us=12), result("quix", rate=5_000, cpu_us=120)],
    [result("quix", rate=10_000, cpu_us=60), result("sidecar", rate=100_000, cpu_us=12)],
]


def test_the_cheapest_comes_first() -> None:
    assert by_cost(ROUNDS) == ["sidecar", "quix"]


def test_ratios_are_those_of_one_round() -> None:
    assert table(ROUNDS)[2:] == [
        "| `sidecar` | 100,000 | 12.0 / 12.0 | 100 | 1 (1 to 1) | 1 (1 to 1) |",
        "| `quix` | 7,500 | 60.0 / 90.0 | 100 | 15 (10 to 20) | 7.5 (5 to 10) |",
    ]


def test_an_answer_that_is_missing_or_another_is_counted() -> None:
    expected = {name: _Answer(name, "repaid", 0.75, 0.75) for name in ("a", "b", "c", "d")}
    found = {
        "a": _Answer("a", "repaid", 0.750001, 0.75),
        "b": _Answer("b", "default", 0.75, 0.75),
        "c": _Answer("c", "repaid", 0.7501, 0.75),
    }

    assert differences(expected, found) == (1, 2)


def test_a_contestant_without_an_environment_is_run_as_it_is() -> None:
    assert all(prepared(contestant) == contestant for contestant in CONTESTANTS)


def test_each_peer_has_what_it_names() -> None:
    names = [contestant.name for contestant in (*CONTESTANTS, *PEERS)]
    named = [path for peer in PEERS for path in (peer.requirements, peer.java) if path]

    assert len(set(names)) == len(names)
    assert all(path.exists() for path in named)
    assert all((CLASS_PATH in peer.command) == (peer.java is not None) for peer in PEERS)
    modules = [Path(peer.command[2]).suffix[1:] for peer in PEERS if peer.java is None]
    assert all((HERE / f"{module}.py").exists() for module in modules)
