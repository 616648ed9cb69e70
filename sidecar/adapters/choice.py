"""What a viewer of the status page has chosen, and the addresses of other choices."""

from typing import NamedTuple
from urllib.parse import urlencode


class Choice(NamedTuple):
    """A window and a feature by name; None leaves the choice to the page."""

    window: str | None = None
    feature: str | None = None

    def address(self, **extra: str) -> str:
        """Give the address of the page with this choice.

        Example:
            >>> Choice("5m", "a b").address()
            '?window=5m&feature=a+b'
        """
        named = {"window": self.window, "feature": self.feature, **extra}
        return "?" + urlencode({key: value for key, value in named.items() if value})
