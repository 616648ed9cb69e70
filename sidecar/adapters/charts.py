"""Small pictures as inline SVG. Sizes are attributes, since the page forbids inline styles."""

from collections.abc import Sequence

from sidecar.adapters.markup import Html, element
from sidecar.adapters.phrases import share
from sidecar.monitors.snapshot import SubjectDrift

_WIDTH, _HEIGHT = 176, 40


def distribution(drift: SubjectDrift) -> Html:
    """Draw window against reference: hollow bars for the reference, filled ones before them."""
    top = max([*drift.reference, *drift.current, 1e-9])
    slot = _WIDTH / max(1, len(drift.bins))
    bars = [
        *_bars(drift.reference, "ref", slot, top, inset=0.06),
        *_bars(drift.current, "cur", slot, top, inset=0.26),
    ]
    return element(
        "svg",
        element("title", largest_change(drift) or "no records"),
        *bars,
        element("line", x1=0, x2=_WIDTH, y1=_HEIGHT, y2=_HEIGHT),
        class_="dist",
        viewBox=f"0 0 {_WIDTH} {_HEIGHT + 1}",
        width=_WIDTH,
        height=_HEIGHT + 1,
        role="img",
    )


def _bars(
    shares: Sequence[float], kind: str, slot: float, top: float, inset: float
) -> list[Html]:
    return [
        element(
            "rect",
            class_=kind,
            x=f"{(at + inset) * slot:.1f}",
            y=f"{_HEIGHT * (1 - value / top):.1f}",
            width=f"{slot * (1 - 2 * inset):.1f}",
            height=f"{_HEIGHT * value / top:.1f}",
        )
        for at, value in enumerate(shares)
        if value > 0
    ]


def largest_change(drift: SubjectDrift) -> str:
    """Say in words which bin changed most; empty without bins or records."""
    if not drift.bins or not drift.records:
        return ""
    moves = [abs(now - was) for was, now in zip(drift.reference, drift.current, strict=True)]
    at = moves.index(max(moves))
    return f"{drift.bins[at]}: {share(drift.reference[at])} → {share(drift.current[at])}"


def bars(shares: Sequence[float], kinds: Sequence[str], top: float) -> Html:
    """Draw shares as bars below one another; the numbers stand beside them.

    Args:
        shares: One for each bar.
        kinds: CSS class of each.
        top: The share that is drawn in full width.
    """
    return element(
        "svg",
        *(
            element(
                "rect",
                class_=kind,
                y=at * 10 + 1,
                width=f"{100 * part / top:.1f}",
                height=8,
            )
            for at, (part, kind) in enumerate(zip(shares, kinds, strict=True))
        ),
        class_="pair",
        viewBox=f"0 0 100 {10 * len(shares)}",
        height=10 * len(shares),
        preserveAspectRatio="none",
        aria_hidden="true",
    )


def bar(ratio: float, kind: str = "") -> Html:
    """Draw a share as a filled bar of full width; the number stands beside it."""
    return element(
        "svg",
        element("rect", class_="track", width=100, height=8),
        element("rect", class_=f"fill {kind}".strip(), width=f"{100 * ratio:.1f}", height=8),
        class_="bar",
        viewBox="0 0 100 8",
        preserveAspectRatio="none",
        aria_hidden="true",
    )
