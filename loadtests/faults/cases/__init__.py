"""The table of faults: one module per thing that fails, one function per fault."""

from loadtests.faults.cases import (
    brokers,
    counts,
    groups,
    network,
    processes,
    protocol,
    records,
    transactions,
)
from loadtests.faults.scene import Fault

TABLE: dict[str, Fault] = {
    fault.name: fault
    for module in (
        processes,
        counts,
        transactions,
        records,
        groups,
        network,
        brokers,
        protocol,
    )
    for fault in module.FAULTS
}
"""Every fault by its name."""
