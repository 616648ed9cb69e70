"""HTML whose text is escaped unless it was made here: a string cannot become markup."""

from html import escape


class Html(str):
    """Markup that is safe to send as it is."""

    __slots__ = ()


Child = Html | str | int | None
_VOID = frozenset({"meta", "link"})


def join(*children: Child) -> Html:
    """Put children one after the other; what is no markup is escaped, None is left out."""
    return Html(
        "".join(
            child if isinstance(child, Html) else escape(str(child))
            for child in children
            if child is not None
        )
    )


def element(tag: str, *children: Child, **attributes: str | float | bool | None) -> Html:
    """Give one element.

    Args:
        tag: Its name; trusted, never data.
        children: What is in it.
        attributes: By name; a trailing `_` is dropped and other `_` become `-`, as in `class_`
            and `aria_label`. None and False leave one out, True writes the name alone.

    Example:
        >>> element("td", "a < b", class_="num")
        '<td class="num">a &lt; b</td>'
    """
    written = [tag]
    for name, value in attributes.items():
        key = name.removesuffix("_").replace("_", "-")
        if value is True:
            written.append(key)
        elif value is not None and value is not False:
            written.append(f'{key}="{escape(str(value))}"')
    start = f"<{' '.join(written)}>"
    return Html(start if tag in _VOID else f"{start}{join(*children)}</{tag}>")
