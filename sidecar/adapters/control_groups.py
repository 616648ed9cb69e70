"""Where the limits of this process's control groups stand, of both versions."""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath


def group_folders(root: Path, controller: str) -> Iterator[Path]:
    """Give the folders of the groups that may limit this process, the innermost first.

    In a container the group's own files often stand at the top, under a path that does not
    exist inside; so every path is tried, and what is not there limits nothing.

    Args:
        root: Where `proc` and `sys` are.
        controller: What is limited: `cpu` or `memory`.
    """
    for line in lines(root / "proc/self/cgroup"):
        _, controllers, path = line.split(":", 2)
        mount = root / "sys/fs/cgroup"
        if controller in controllers.split(","):
            mount = mount / (controller if (mount / controller).is_dir() else controllers)
        elif controllers:
            continue
        below = PurePosixPath(path.lstrip("/"))
        for group in (below, *below.parents):
            yield mount / group


def lines(path: Path) -> list[str]:
    """Give the lines of a file; none when it cannot be read."""
    try:
        return path.read_text(encoding="ascii").split("\n")[:-1]
    except OSError:
        return []
