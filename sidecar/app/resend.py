"""Sends letters back to the events topic: which ones, how fast, and what became of each."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field

from sidecar.adapters.kafka_letters import CLIENT_ID, no_access
from sidecar.adapters.kafka_sink import KafkaSink
from sidecar.app.letters import Letter, Skip, outbound, why_skipped
from sidecar.clock import Clock, SystemClock
from sidecar.config.settings import KafkaSettings
from sidecar.errors import SinkUnavailableError
from sidecar.ports import Sink

# Groups that are sent together: ten a second, and none so large that it is a burst.
_GROUPS_PER_SECOND = 10
_LARGEST_GROUP = 500


@dataclass(frozen=True, slots=True)
class Terms:
    """What is sent, and how fast."""

    events_topic: str
    max_attempts: int = 3
    """A letter that was refused so often is not sent again."""
    limit: int | None = None
    """Most letters that are sent."""
    rate: float = 100.0
    """Most letters a second."""

    @property
    def group(self) -> int:
        """How many letters are sent together."""
        return max(1, min(_LARGEST_GROUP, int(self.rate / _GROUPS_PER_SECOND)))


@dataclass(slots=True)
class Tally:
    """What became of the letters so far."""

    sent: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    refused: list[tuple[str, str]] = field(default_factory=list)
    """Place and reason of each that the broker does not take."""
    after: dict[int, int] = field(default_factory=dict)
    """By partition, the last letter that was sent or refused."""
    trouble: str = ""
    """Why it ended early; empty when it did not."""


async def judged(
    letters: AsyncGenerator[Letter, None], terms: Terms
) -> AsyncGenerator[tuple[Letter, Skip | None], None]:
    """Give letters with the reason why each is not sent; ends behind the last that may be."""
    sendable = 0
    async with aclosing(letters):
        async for letter in letters:
            skip = why_skipped(letter, terms.events_topic, terms.max_attempts)
            yield letter, skip
            sendable += skip is None
            if sendable == terms.limit:
                return


async def open_sink(kafka: KafkaSettings, topic: str) -> KafkaSink:
    """Connect for writing.

    Raises:
        UserError: The topic is missing, no broker answers, or this user may not write.
    """
    sink = KafkaSink(kafka, [topic], CLIENT_ID)
    try:
        await sink.start()
    except SinkUnavailableError as error:
        raise no_access(error.reason, str(error)) from error
    return sink


class Resend:
    """Sends letters in groups, each acknowledged before the next one, at a steady pace."""

    def __init__(
        self,
        sink: Sink,
        terms: Terms,
        *,
        clock: Clock | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Take the parts; nothing is sent before `run`.

        Args:
            sink: A sink that is started; the caller closes it.
            terms: What is sent, and how fast.
            clock: The machine's own when absent.
            sleep: Waits so many seconds.
        """
        self._sink = sink
        self._terms = terms
        self._clock = clock or SystemClock()
        self._sleep = sleep
        self._due_s = 0.0
        self._group: list[Letter] = []
        self.tally = Tally()

    async def run(
        self, letters: AsyncGenerator[Letter, None], show: Callable[[], None]
    ) -> None:
        """Send what may be sent. The tally says what came of it, also when cancelled.

        A failure of the sink ends it: of the group under way nobody knows what was written.

        Args:
            letters: Each partition in order, which is kept.
            show: Called after each group, for progress.
        """
        self._due_s = self._clock.monotonic()
        try:
            async with aclosing(judged(letters, self._terms)) as verdicts:
                async for letter, skip in verdicts:
                    await self._take(letter, skip)
                    show()
            await self._send_group()
            show()
        except SinkUnavailableError as error:
            self.tally.trouble = str(error)
        except asyncio.CancelledError:
            self.tally.trouble = "interrupted"
            raise

    async def _take(self, letter: Letter, skip: Skip | None) -> None:
        if skip is not None:
            self.tally.skipped[skip] += 1
            return
        self._group.append(letter)
        if len(self._group) >= self._terms.group:
            await self._send_group()

    async def _send_group(self) -> None:
        group = self._group
        if not group:
            return
        await self._sleep(max(0.0, self._due_s - self._clock.monotonic()))
        # Counted from here: time that was lost waiting for the broker is not caught up on.
        self._due_s = self._clock.monotonic() + len(group) / self._terms.rate
        batch = outbound(group, self._terms.events_topic)
        refusals = await (await self._sink.send(batch))
        self._group = []
        self.tally.sent += len(group) - len(refusals)
        self.tally.refused += [(group[each.row].place, each.message) for each in refusals]
        for letter in group:
            last = self.tally.after.get(letter.partition, -1)
            self.tally.after[letter.partition] = max(last, letter.offset)
