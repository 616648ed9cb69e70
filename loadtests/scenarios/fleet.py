"""`python -m loadtests.scenarios.fleet CORES CONFIG`: a sidecar on each of some cores.

They are one group, and share its partitions. The first one has `BENCH_METRICS`, the others
take free ports. All end with this process.
"""

import os
import signal
import subprocess
import sys


def main(cores: str, config: str) -> int:
    """Run them until SIGTERM, or until one ends by itself."""
    members = []
    for at, core in enumerate(cores.split(",")):
        free = {"BENCH_METRICS": "0", "BENCH_ADMIN": "0"} if at else {}
        command = ["taskset", "-c", core, sys.executable, "-m", "sidecar", "run", config]
        members.append(subprocess.Popen(command, env={**os.environ, **free}))

    def end(*_: object) -> None:
        for member in members:
            member.terminate()

    signal.signal(signal.SIGTERM, end)
    return max(member.wait() for member in members)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
