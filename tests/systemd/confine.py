"""Becomes a program confined as systemd would; run by itself, with the standard library alone.

    python confine.py '{"user": 10001, "calls": ["read"], "families": [2]}' PROGRAM ARGUMENT...

What is not allowed ends the process at once, so that a test notices: systemd answers EPERM.
"""

import ctypes
import json
import os
import sys
from typing import Any

_NO_NEW_PRIVILEGES, _DROP_FROM_BOUNDING_SET, _REFUSE_WRITE_EXECUTE = 38, 24, 65
_KILL, _ALLOW, _EQUAL = 0x80000000, 0x7FFF0000, 4


class _Argument(ctypes.Structure):
    """`struct scmp_arg_cmp` of libseccomp."""

    _fields_ = (
        ("index", ctypes.c_uint),
        ("comparison", ctypes.c_int),
        ("value", ctypes.c_uint64),
        ("other", ctypes.c_uint64),
    )


def _done(result: int) -> None:
    if result < 0:
        raise OSError(ctypes.get_errno() or -result, "not confined")


def _drop_rights(user: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    for capability in range(64):
        if libc.prctl(_DROP_FROM_BOUNDING_SET, capability, 0, 0, 0):
            break  # past the last one that the kernel knows
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
    _done(libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0))
    _done(libc.prctl(_REFUSE_WRITE_EXECUTE, 1, 0, 0, 0))


def _filter(calls: list[str], families: list[int]) -> None:
    library: Any = ctypes.CDLL("libseccomp.so.2")
    library.seccomp_init.restype = ctypes.c_void_p
    context = ctypes.c_void_p(library.seccomp_init(ctypes.c_uint32(_KILL)))
    for name in calls:
        number = library.seccomp_syscall_resolve_name(name.encode())
        if number < 0:
            continue  # of another architecture
        if name != "socket":
            _done(library.seccomp_rule_add(context, ctypes.c_uint32(_ALLOW), number, 0))
            continue
        for family in families:
            asked = (_Argument * 1)(_Argument(0, _EQUAL, family, 0))
            _done(
                library.seccomp_rule_add_array(
                    context, ctypes.c_uint32(_ALLOW), number, 1, asked
                )
            )
    _done(library.seccomp_load(context))


if __name__ == "__main__":
    wanted = json.loads(sys.argv[1])
    _drop_rights(wanted["user"])
    _filter(wanted["calls"], wanted["families"])
    os.execvp(sys.argv[2], sys.argv[2:])  # noqa: S606
