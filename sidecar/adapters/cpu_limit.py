"""How many processors this process may use."""

import math
import os
from pathlib import Path

from sidecar.adapters.control_groups import group_folders, lines


def cpu_limit(root: Path = Path("/"), processors: int | None = None) -> int:
    """Count the processors that the control group allows, rounded up; at least 1.

    The number of processors of the machine says nothing in a container: threads beyond the
    quota are stopped for the rest of each period, and a batch waits for them.

    Args:
        root: Where `proc` and `sys` are.
        processors: How many the machine lets this process run on; asked of it when absent.

    Returns:
        The smallest quota of the process's group and the groups above it (`cpu.max` of control
        groups v2, `cpu.cfs_quota_us` of v1), never more than the processors it may run on.
    """
    most = len(os.sched_getaffinity(0)) if processors is None else processors
    quotas = [
        quota for folder in group_folders(root, "cpu") if (quota := _quota(folder)) is not None
    ]
    return max(1, min([most, *map(math.ceil, quotas)]))


def _quota(folder: Path) -> float | None:
    """Give the processors that one group allows; None when it sets no limit."""
    words = " ".join(lines(folder / "cpu.max")).split()
    if not words:
        words = [*lines(folder / "cpu.cfs_quota_us"), *lines(folder / "cpu.cfs_period_us")]
    if len(words) != 2 or words[0] in ("max", "-1"):
        return None
    return int(words[0]) / int(words[1])
