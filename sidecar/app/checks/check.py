"""What a check is: a function that says where something is wrong; a severity; a mend."""

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")


class Severity(StrEnum):
    """How much a problem matters."""

    ERROR = "error"
    """It will not work, or harms."""
    WARNING = "warning"
    """It works, and hardly as it is meant."""
    NOTE = "note"
    """Something could not be checked, or is good to know."""


class Spot(NamedTuple):
    """Where something is wrong, and what."""

    path: str
    """Of the setting to look at: `$.model.timeout`."""
    message: str


@dataclass(frozen=True, slots=True)
class Check(Generic[T]):
    """One check of a subject."""

    find: Callable[[T], Iterable[Spot]]
    """Its name is the name of the check, the first line of its docstring says what is found."""
    severity: Severity
    mend: str
    """What to do about it."""

    @property
    def name(self) -> str:
        """The name that users see: `rule-is-never-reached`."""
        return self.find.__name__.replace("_", "-")

    @property
    def what(self) -> str:
        """What is found, in a sentence."""
        return " ".join((inspect.getdoc(self.find) or "").split())
