"""When an episode begins and ends."""

from sidecar.app.replay_episodes import EpisodeBook
from sidecar.events import Severity
from sidecar.monitors.episodes import DriftEpisode, Evidence


def active(name: str, began_ms: int, severity: Severity = "critical") -> DriftEpisode:
    return DriftEpisode(
        window="1h",
        subject="feature",
        name=name,
        severity=severity,
        since_ms=began_ms - 5,
        began_ms=began_ms,
        evidence=Evidence(start_ms=0, end_ms=began_ms, records=300),
    )


def test_an_episode_ends_with_the_first_evaluation_that_has_it_no_more() -> None:
    age, income = active("age", 20), active("income", 30, "warning")
    book = EpisodeBook()

    turned = [
        book.note(10, ()),
        book.note(20, (age,)),
        book.note(30, (age, income)),
        book.note(40, (age, income)),
        book.note(50, (income,)),
        book.note(60, (active("age", 60), income)),
    ]

    assert turned == [False, True, True, False, True, True]
    assert [
        (each.name, each.severity, each.since_ms, each.began_ms, each.ended_ms)
        for each in book.episodes()
    ] == [
        ("age", "critical", 15, 20, 50),
        ("income", "warning", 25, 30, None),
        ("age", "critical", 55, 60, None),
    ]
