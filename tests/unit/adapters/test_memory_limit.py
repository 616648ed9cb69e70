from pathlib import Path

import pytest

from sidecar.adapters.memory_limit import memory_limit
from tests.unit.adapters.test_cpu_limit import V2, machine

MEMINFO = {"proc/meminfo": "MemTotal:        8192 kB\nMemFree:         1 kB\n"}
CASES: dict[str, tuple[dict[str, str], int | None]] = {
    "version 2": ({"proc/self/cgroup": "0::/\n", f"{V2}/memory.max": "1048576\n"}, 1 << 20),
    "no limit but the machine": (
        {"proc/self/cgroup": "0::/\n", f"{V2}/memory.max": "max\n", **MEMINFO},
        8 << 20,
    ),
    "a limit beyond the machine": (
        {"proc/self/cgroup": "0::/\n", f"{V2}/memory.max": "99999999\n", **MEMINFO},
        8 << 20,
    ),
    "the smallest of the groups above": (
        {
            "proc/self/cgroup": "0::/slice/unit\n",
            f"{V2}/slice/unit/memory.max": "max\n",
            f"{V2}/slice/memory.max": "4096\n",
            **MEMINFO,
        },
        4_096,
    ),
    "version 1": (
        {
            "proc/self/cgroup": "4:memory:/pod\n2:cpu,cpuacct:/pod\n",
            f"{V2}/memory/pod/memory.limit_in_bytes": "2048\n",
            f"{V2}/cpu,cpuacct/pod/memory.limit_in_bytes": "1\n",
        },
        2_048,
    ),
    "nothing is known": ({}, None),
}


@pytest.mark.parametrize("case", CASES)
def test_the_smallest_limit_counts(case: str, tmp_path: Path) -> None:
    files, limit = CASES[case]

    assert memory_limit(machine(tmp_path, files)) == limit
