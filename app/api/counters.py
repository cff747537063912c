"""Counts of answers by status class, shared by the web workers that one server has forked."""

from __future__ import annotations

import mmap
import os
import struct

CLASSES = ("2xx", "3xx", "4xx", "5xx")
SLOTS = 64
_NUMBER = struct.Struct("<Q")
_SLOT_BYTES = _NUMBER.size * len(CLASSES)


class RequestCounter:
    """Counts without locks: a worker killed in the middle can never hold up the others.

    The memory is shared because it is mapped before the workers are forked. Each process writes to a slot of
    its own (by process number), and whoever is asked adds up all of them.
    """

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, SLOTS * _SLOT_BYTES)

    def count(self, status: int) -> None:
        """Count one answer."""
        index = status // 100 - 2
        if 0 <= index < len(CLASSES):
            offset = os.getpid() % SLOTS * _SLOT_BYTES + index * _NUMBER.size
            _NUMBER.pack_into(self._memory, offset, _NUMBER.unpack_from(self._memory, offset)[0] + 1)

    def totals(self) -> dict[str, int]:
        """Return the sums over all processes."""
        return {
            name: sum(
                _NUMBER.unpack_from(self._memory, slot * _SLOT_BYTES + index * _NUMBER.size)[0]
                for slot in range(SLOTS)
            )
            for index, name in enumerate(CLASSES)
        }
