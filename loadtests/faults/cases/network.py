"""A network that is slow, narrow, cut, silent, or breaks in the middle of a byte stream."""

from loadtests.faults.scene import Fault, Limits, Scene

_THROTTLE = 50_000.0
_RESET_WITHIN = 200_000


def slow(scene: Scene) -> None:
    """Let every answer take 2 s."""
    for proxy in scene.site.proxies:
        proxy.weather.latency_s = 1.0
    _stays_a_member(scene, 40.0 if scene.long else 15.0)


def narrow(scene: Scene) -> None:
    """Let 50 KB a second through, each way, each connection: less than the load."""
    for proxy in scene.site.proxies:
        proxy.weather.bytes_per_s = _THROTTLE
    _stays_a_member(scene, 40.0 if scene.long else 15.0)


def _stays_a_member(scene: Scene, seconds: float) -> None:
    """Hold the network so, and see that it costs time and nothing else."""
    scene.fleet.scrape()
    before = sum(scrape.get("rebalances") for scrape in scene.fleet.last.values())
    mark = len(scene.fleet.scrapes)
    with scene.outage():
        scene.run_for(seconds)
        for proxy in scene.site.proxies:
            proxy.clear()
    scene.progresses()
    scene.fleet.scrape()
    seen = scene.fleet.scrapes[mark:]
    after = sum(scrape.get("rebalances") for scrape in scene.fleet.last.values())
    scene.note("most lag told", max(scrape.get("lag") for scrape in seen))
    scene.expect(after == before, f"{after - before:g} rebalances")
    unready = [scrape for scrape in seen if not scrape.ready]
    scene.expect(not unready, f"not ready in {len(unready)} of {len(seen)} scrapes")


def cut(scene: Scene) -> None:
    """Close everything and refuse new connections, again and again."""
    for _ in range(4 if scene.long else 2):
        with scene.outage():
            for proxy in scene.site.proxies:
                proxy.cut()
            scene.run_for(scene.rng.uniform(1.0, 10.0))
            for proxy in scene.site.proxies:
                proxy.clear()
        scene.count("cuts")
        scene.progresses()
        scene.run_for(scene.rng.uniform(0.5, 2.0))


def half_open(scene: Scene) -> None:
    """Let connections stay and no byte pass; then they are gone for good."""
    for _ in range(3 if scene.long else 1):
        with scene.outage():
            for proxy in scene.site.proxies:
                proxy.weather.silent = True
            scene.run_for(scene.rng.uniform(8.0, 15.0))
            for proxy in scene.site.proxies:
                proxy.drop_silent()
                proxy.clear()
        scene.count("silences")
        scene.progresses()


def resets(scene: Scene) -> None:
    """Reset every connection after a random number of bytes, also amid a request."""
    for _ in range(40 if scene.long else 8):
        for proxy in scene.site.proxies:
            proxy.reset_all(scene.rng, _RESET_WITHIN)
        scene.count("resets")
        scene.run_for(scene.rng.uniform(0.3, 2.0))
    scene.progresses()


FAULTS = (
    Fault(
        "slow-broker",
        "R11",
        "every answer takes 2 s, for 40 s",
        "no rebalance, stays ready, nothing lost",
        slow,
        proxied=True,
        limits=Limits(recovery_s=20.0),
    ),
    Fault(
        "narrow-network",
        "R11",
        "50 KB/s for each connection, for 40 s",
        "no rebalance, stays ready, tells its lag, nothing lost",
        narrow,
        proxied=True,
        limits=Limits(recovery_s=20.0),
    ),
    Fault(
        "cut",
        "R12",
        "connections are closed and refused for 1 to 10 s, four times",
        "nothing lost, nothing out of order; goes on within 20 s",
        cut,
        proxied=True,
        short=("at_least_once",),
        limits=Limits(recovery_s=20.0),
    ),
    Fault(
        "half-open",
        "R12",
        "connections stay open and no byte passes for 8 to 15 s, three times",
        "nothing lost, nothing out of order; goes on within 30 s",
        half_open,
        proxied=True,
        limits=Limits(recovery_s=30.0),
    ),
    Fault(
        "resets",
        "R12",
        "every connection is reset at a random byte, 40 times",
        "nothing lost, nothing out of order; no partition stands still for 20 s",
        resets,
        proxied=True,
        short=("exactly_once",),
        limits=Limits(recovery_s=20.0),
    ),
)
