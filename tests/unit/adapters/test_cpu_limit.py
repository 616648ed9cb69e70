import os
from pathlib import Path

import pytest

from sidecar.adapters.cpu_limit import cpu_limit


def machine(root: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root


V2 = "sys/fs/cgroup"
CASES = {
    "version 2 in a container": (
        {"proc/self/cgroup": "0::/\n", f"{V2}/cpu.max": "200000 100000\n"},
        2,
    ),
    "a part of a processor counts whole": (
        {"proc/self/cgroup": "0::/\n", f"{V2}/cpu.max": "250000 100000\n"},
        3,
    ),
    "less than one processor": (
        {"proc/self/cgroup": "0::/\n", f"{V2}/cpu.max": "10000 100000\n"},
        1,
    ),
    "no limit": ({"proc/self/cgroup": "0::/\n", f"{V2}/cpu.max": "max 100000\n"}, 8),
    "a limit beyond the machine": (
        {"proc/self/cgroup": "0::/\n", f"{V2}/cpu.max": "6400000 100000\n"},
        8,
    ),
    "the smallest of the groups above": (
        {
            "proc/self/cgroup": "0::/slice/unit\n",
            f"{V2}/slice/unit/cpu.max": "500000 100000\n",
            f"{V2}/slice/cpu.max": "300000 100000\n",
        },
        3,
    ),
    "version 1": (
        {
            "proc/self/cgroup": "4:memory:/pod\n2:cpu,cpuacct:/pod\n",
            f"{V2}/cpu,cpuacct/pod/cpu.cfs_quota_us": "150000\n",
            f"{V2}/cpu,cpuacct/pod/cpu.cfs_period_us": "100000\n",
        },
        2,
    ),
    "version 1, seen from inside a container": (
        {
            "proc/self/cgroup": "2:cpu:/kubepods/pod1\n",
            f"{V2}/cpu/cpu.cfs_quota_us": "400000\n",
            f"{V2}/cpu/cpu.cfs_period_us": "100000\n",
        },
        4,
    ),
    "version 1 without a limit": (
        {
            "proc/self/cgroup": "2:cpu:/\n",
            f"{V2}/cpu/cpu.cfs_quota_us": "-1\n",
            f"{V2}/cpu/cpu.cfs_period_us": "100000\n",
        },
        8,
    ),
    "no control groups": ({}, 8),
}


@pytest.mark.parametrize(("files", "limit"), CASES.values(), ids=CASES.keys())
def test_the_limit_is_the_quota_rounded_up(
    tmp_path: Path, files: dict[str, str], limit: int
) -> None:
    assert cpu_limit(machine(tmp_path, files), processors=8) == limit


def test_it_reads_this_machine() -> None:
    assert 1 <= cpu_limit() <= len(os.sched_getaffinity(0))
