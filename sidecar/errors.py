"""The exceptions of the package. The class says what is done with the error.

SidecarError
├── UserError                   before start: say what is wrong and how to mend it, exit 2
│   ├── ConfigError             every fault of a config file at once
│   └── BundleError             a model bundle that must not serve
├── MalformedPayloadError       bytes do not fit their schema; `decode` makes a rejection of it
├── TransientError              retried with backoff, then the process stops
│   ├── SourceUnavailableError
│   ├── SinkUnavailableError
│   ├── OwnershipLostError      the partitions belong to somebody else: drop what is in flight
│   ├── RegistryUnavailableError  the batch waits for its schemas
│   ├── ScorerUnavailableError  `decide` turns this one into a fallback decision
│   └── ScorerTimeoutError      likewise
└── FatalError                  end and exit non-zero; the last good offset holds
    ├── ModelContractError      the model's inputs or outputs are not what the bundle says
    ├── OffsetOrderError        the bookkeeping broke; going on could lose records
    ├── StalledError            a client makes no progress and cannot be revived
    └── DuplicateMemberError    an older process has the same name within the group

A record that is refused is no exception: stages return `events.Rejection` rows, because one
bad record of a batch must not unwind its neighbours.
"""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches

from msgspec import Struct


def did_you_mean(word: object, known: Iterable[str], otherwise: str = "") -> str:
    """Suggest the known word that one which is not known is most like.

    Args:
        word: What somebody wrote.
        known: What they may have meant.
        otherwise: What to say when it is like none of them.

    Example:
        >>> did_you_mean("inof", ["debug", "info", "warning"])
        'did you mean `info`?'
    """
    near = get_close_matches(str(word), list(known), n=1)
    return f"did you mean `{near[0]}`?" if near else otherwise


class SidecarError(Exception):
    """Base of every error that this package raises on purpose."""


class Finding(Struct, frozen=True):
    """One fault of something that a user wrote."""

    path: str
    """Where: `$.model.timeout` in a config, a file name in a bundle."""
    message: str
    """What is wrong there."""
    mend: str
    """What to do about it."""

    def __str__(self) -> str:
        """Give the finding as one line for a terminal."""
        return (
            f"{self.path}: {self.message} ({self.mend})"
            if self.mend
            else f"{self.path}: {self.message}"
        )


class UserError(SidecarError):
    """Something that a user wrote is wrong; `findings` lists all of it."""

    def __init__(self, what: str, findings: Sequence[Finding]) -> None:
        """Say which thing is at fault and list its faults.

        Args:
            what: The thing at fault, for example the path of the config file.
            findings: Every fault of it, at least one.
        """
        self.what = what
        self.findings = tuple(findings)
        super().__init__("\n".join([what, *map(str, findings)]))


class ConfigError(UserError):
    """The config cannot be used."""


class BundleError(UserError):
    """The model bundle is refused."""


class MalformedPayloadError(SidecarError):
    """Bytes are not what their schema says. The message holds no value of them."""


class TransientError(SidecarError):
    """Worth trying again after a while."""


class SourceUnavailableError(TransientError):
    """Records cannot be read at the moment."""


class SinkUnavailableError(TransientError):
    """Records cannot be written at the moment; `reason` is a closed, short word for probes."""

    def __init__(self, reason: str, message: str) -> None:
        """Keep the short reason beside the text for people.

        Args:
            reason: A word such as `topic_missing`, fit for a metric label.
            message: What happened, for logs and `/readyz`.
        """
        self.reason = reason
        super().__init__(message)


class OwnershipLostError(TransientError):
    """A commit was refused because the partitions were assigned to another member."""


class RegistryUnavailableError(TransientError):
    """The schema registry gives no answer; `reason` is a closed, short word for probes."""

    def __init__(self, reason: str, message: str) -> None:
        """Keep the short reason beside the text for people.

        Args:
            reason: `registry_unreachable`, `registry_refused` or `registry_not_set_up`.
            message: What happened, for logs and `/readyz`; never a secret.
        """
        self.reason = reason
        super().__init__(message)


class ScorerUnavailableError(TransientError):
    """The model raised, or cannot take work."""


class ScorerTimeoutError(ScorerUnavailableError):
    """The model did not answer in time."""


class FatalError(SidecarError):
    """Going on would harm; the process ends and exits non-zero."""


class ModelContractError(FatalError):
    """The model's inputs or outputs are not what the manifest says."""


class OffsetOrderError(FatalError):
    """An offset would go backwards or pass an unfinished record."""


class DuplicateMemberError(FatalError):
    """An older process has the same name within the group; each puts out the other."""


class StalledError(FatalError):
    """A client makes no progress and did not come back when rebuilt."""
