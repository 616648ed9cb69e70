"""When drift began and ended in a replay."""

from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from sidecar.events import DriftKind, Severity
from sidecar.monitors.episodes import DriftEpisode, Evidence

_Key = tuple[str, DriftKind, str, Severity, int]


class Episode(Struct, frozen=True, kw_only=True):
    """A span of event time in which something drifted in one window. Times are Unix ms."""

    window: str
    """Length of the window as the config writes it: `5m`."""
    subject: DriftKind
    name: str
    """The feature's name, or the subject itself."""
    severity: Severity
    since_ms: int
    """Since when it was past its tolerance."""
    began_ms: int
    """When it had lasted long enough, and the episode began."""
    ended_ms: int | None = None
    """None when it lasts to the end of the replay."""
    evidence: Evidence
    """The numbers of its beginning."""


class EpisodeBook:
    """Notes episodes from one evaluation to the next: all of them, with their ends.

    What bounds them is the alert rule: an episode lasts for `monitors.drift.hold` and
    `monitors.drift.resolve` at least.
    """

    def __init__(self) -> None:
        """Begin without any."""
        self._open: dict[_Key, Episode] = {}
        self._ended: list[Episode] = []

    def note(self, end_ms: int, active: Sequence[DriftEpisode]) -> bool:
        """Take what an evaluation left.

        Args:
            end_ms: Event time at which its windows end.
            active: The episodes that have begun and not ended.

        Returns:
            Whether any began or ended with it.
        """
        now = {_key(each): each for each in active}
        turned = now.keys() != self._open.keys()
        for key in [key for key in self._open if key not in now]:
            self._ended.append(replace(self._open.pop(key), ended_ms=end_ms))
        for key, each in now.items():
            self._open.setdefault(key, _begun(each))
        return turned

    def episodes(self) -> tuple[Episode, ...]:
        """Give all, the earliest first."""
        every = [*self._ended, *self._open.values()]
        return tuple(sorted(every, key=lambda each: (each.since_ms, each.name, each.severity)))


def _key(found: DriftEpisode) -> _Key:
    return found.window, found.subject, found.name, found.severity, found.began_ms


def _begun(found: DriftEpisode) -> Episode:
    return Episode(
        window=found.window,
        subject=found.subject,
        name=found.name,
        severity=found.severity,
        since_ms=found.since_ms,
        began_ms=found.began_ms,
        evidence=found.evidence,
    )
