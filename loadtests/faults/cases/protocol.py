"""Errors that a broker may answer with, and leaders that move: on the embedded brokers."""

from loadtests.faults.clock import now_s
from loadtests.faults.scene import PARTITIONS, Fault, Limits, Scene

# Keys of requests in the Kafka protocol.
_PRODUCE, _FETCH, _COMMIT, _FIND, _JOIN, _BEAT, _SYNC = 0, 1, 8, 10, 11, 12, 14
_BURST = 4
_BACKLOG = 200
_CLOSES = -195
"""Not a code: the connection is closed instead of an answer."""

# What the protocol allows, and codes that no client should ever see. Without 46, which says
# that the broker has the batch already: a client believes it, and here it would be a lie.
_PRODUCE_CODES = (-1, 2, 3, 5, 6, 7, 10, 17, 18, 19, 20, 29, 31, 32, 45, 47, 56, 59, 87, 90)
_COMMIT_CODES = (-1, 7, 12, 14, 15, 16, 22, 24, 25, 27, 28, 30, 82)
_GROUP_CODES = {
    _COMMIT: _COMMIT_CODES,
    _BEAT: (14, 15, 16, 22, 25, 27, 82),
    _JOIN: (14, 15, 16, 25, 26),
    _SYNC: (14, 15, 16, 22, 25, 27),
    _FIND: (14, 15, 24),
    _FETCH: (-1, 3, 5, 6, 7, 9, 56),
}
_NOT_COORDINATOR, _REBALANCE = 16, 27
# What makes a client send requests that it seldom sends.
_PROVOKED = {_JOIN: _REBALANCE, _SYNC: _REBALANCE, _FIND: _NOT_COORDINATOR}


def produce_errors(scene: Scene) -> None:
    """Answer writes with each error, once and in a burst, and with a closed connection."""
    for code in (*_PRODUCE_CODES, _CLOSES):
        for times in (1, _BURST):
            _answer_writes(scene, code, times)


def _answer_writes(scene: Scene, code: int, times: int) -> None:
    """See to it that the sidecar gets the errors: the driver does not write meanwhile."""
    for member in scene.fleet.alive:
        member.freeze()
    scene.driver.hold()
    scene.driver.burst(_BACKLOG)
    scene.site.mock.push_errors(_PRODUCE, [code] * times)
    at_s = now_s()
    for member in scene.fleet.alive:
        member.thaw()
    _goes_on(scene, _PRODUCE, code, times, at_s)
    scene.driver.start()


def group_errors(scene: Scene) -> None:
    """Answer commits, heartbeats, joins and fetches with each error."""
    for api, codes in _GROUP_CODES.items():
        for code in (*codes, _CLOSES):
            for times in (1, _BURST) if scene.long else (1,):
                scene.site.mock.push_errors(api, [code] * times)
                if api in _PROVOKED:
                    scene.site.mock.push_errors(_BEAT, [_PROVOKED[api]])
                scene.run_for(1.0)
                _goes_on(scene, api, code, times, now_s())


def _goes_on(scene: Scene, api: int, code: int, times: int, since_s: float) -> None:
    """Wait for the next commit after an error; a sidecar that ended is started again."""
    scene.count("errors injected")
    if not scene.fleet.alive:
        scene.count("ended by itself")
        scene.fleet.start()
    before = len(scene.failures)
    scene.progresses(45.0, since_s)
    if len(scene.failures) > before:
        scene.failures[-1] += f" after error {code} of request {api}, {times} times"
    scene.site.mock.clear_errors(api)


def leaders(scene: Scene) -> None:
    """Move the leaders of all partitions every 2 s."""
    for _ in range(30 if scene.long else 8):
        for topic in (scene.events, scene.decisions):
            for partition in range(PARTITIONS):
                scene.site.mock.move_leader(topic, partition, scene.rng.randint(1, 3))
        scene.count("moves")
        scene.run_for(2)
    scene.progresses()


def no_leader(scene: Scene) -> None:
    """Leave the decisions without leaders for longer than a request may take."""
    with scene.outage():
        for partition in range(PARTITIONS):
            scene.site.mock.move_leader(scene.decisions, partition, None)
        scene.run_for(60.0 if scene.long else 15.0)
        for partition in range(PARTITIONS):
            scene.site.mock.move_leader(scene.decisions, partition, 1 + partition % 3)
    scene.progresses()


FAULTS = (
    Fault(
        "produce-errors",
        "R13",
        "a write is answered with each of 20 error codes, once and four times",
        "nothing lost, goes on after each within 45 s",
        produce_errors,
        site="mock",
        modes=("at_least_once",),
        limits=Limits(recovery_s=45.0, settle_s=90.0),
        stubs=True,
    ),
    Fault(
        "group-errors",
        "R14",
        "each error code of commits, joins, heartbeats and fetches",
        "nothing lost, no offset goes back, goes on after each within 45 s",
        group_errors,
        site="mock",
        modes=("at_least_once",),
        limits=Limits(recovery_s=45.0, settle_s=90.0),
    ),
    Fault(
        "leaders-move",
        "R8",
        "all leaders move every 2 s",
        "nothing lost, nothing out of order",
        leaders,
        site="mock",
        modes=("at_least_once",),
        limits=Limits(recovery_s=16.0),
    ),
    Fault(
        "no-leader",
        "R8 R10",
        "the decisions are without leaders for 60 s",
        "nothing lost; goes on within 45 s of the leaders' return",
        no_leader,
        site="mock",
        modes=("at_least_once",),
        limits=Limits(recovery_s=45.0, settle_s=90.0),
    ),
)
