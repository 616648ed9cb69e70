"""How much memory this process may use."""

from collections.abc import Iterator
from pathlib import Path

from sidecar.adapters.control_groups import group_folders, lines

_FILES = ("memory.max", "memory.limit_in_bytes")


def memory_limit(root: Path = Path("/")) -> int | None:
    """Count the bytes of memory that the control group allows, and the machine has.

    Args:
        root: Where `proc` and `sys` are.

    Returns:
        The smallest limit of the process's group and the groups above it (`memory.max` of
        control groups v2, `memory.limit_in_bytes` of v1), never more than the machine has;
        None when neither is known.
    """
    return min((*_of_the_machine(root), *_of_groups(root)), default=None)


def _of_the_machine(root: Path) -> Iterator[int]:
    for line in lines(root / "proc/meminfo"):
        if line.startswith("MemTotal:"):
            yield int(line.split()[1]) * 1024  # it says kB and means KiB


def _of_groups(root: Path) -> Iterator[int]:
    for folder in group_folders(root, "memory"):
        for name in _FILES:
            words = " ".join(lines(folder / name)).split()
            if len(words) == 1 and words[0].isdecimal():  # not `max`
                yield int(words[0])
