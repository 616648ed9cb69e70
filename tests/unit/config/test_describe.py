"""Docstrings of fields."""

from msgspec import Struct

from sidecar.config.describe import describe


class Base(Struct):
    first: int
    """Its text
    goes on."""


class Derived(Base):
    second: int = 0
    third: int = 0
    """The last."""


def test_texts_of_bases_come_first_and_bare_fields_are_left_out() -> None:
    assert describe(Derived) == {"first": "Its text goes on.", "third": "The last."}
