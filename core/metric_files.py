"""The files in which metrics are counted: a full disk must not end the process that counts.

``prometheus_client`` maps sparse files into memory. Where the disk is full, the first write to a page of such a file
is a SIGBUS, which ends the process. Here the bytes are reserved before they are mapped.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from pathlib import Path
from typing import Any

from prometheus_client import values
from prometheus_client.mmap_dict import MmapedDict

log = logging.getLogger("bundle.metrics")

FIRST_BYTES = 1 << 16
ENTRY_BYTES = 32  # most that an entry takes beside its key
REST_S = 5.0  # between two tries


class MetricFile(MmapedDict):
    """A file of metrics that is made, and grows, only where the disk has room.

    A series without a place is counted in memory by ``prometheus_client``, which writes the whole value each time. So
    the first write after there is room puts right what the file missed. Every caller holds the library's lock.
    """

    _full = False  # whether the last try of any file failed

    def __init__(self, filename: str) -> None:
        """Takes the path; the file is made for the first series."""
        self._path = Path(filename)
        self._f: Any = None
        self._m: Any = None
        self._positions: dict[str, int] = {}
        self._next_try = 0.0

    def read_value(self, key: str) -> tuple[float, float]:
        """The value and the time stamp of a series; zeros where it has no place."""
        return super().read_value(key) if self._has_place(key) else (0.0, 0.0)  # type: ignore[no-untyped-call]

    def write_value(self, key: str, value: float, timestamp: float) -> None:
        """Writes a series, if it has a place."""
        if self._has_place(key):
            super().write_value(key, value, timestamp)  # type: ignore[no-untyped-call]

    def _has_place(self, key: str) -> bool:
        if key in self._positions:
            return True
        if time.monotonic() < self._next_try:
            return False
        try:
            self._reserve(key)
        except OSError as error:
            self._next_try = time.monotonic() + REST_S
            if not MetricFile._full:  # in a thread: a log line may be counted, which takes the lock that is held here
                text = "metrics cannot be written (%s): new series are counted in memory and not shown"
                threading.Thread(target=log.warning, args=(text, error.strerror), daemon=True).start()
            MetricFile._full = True
            return False
        return True

    def _reserve(self, key: str) -> None:
        """Makes sure that the next entry lies in bytes that the disk has given.

        Raises:
            OSError: There is no room.
        """
        if self._m is None:
            # No scrape may meet an empty file. One that is there is of an earlier process with the same number.
            made = self._path if self._path.exists() else self._path.with_suffix(".new")
            with made.open("ab") as file:
                self._take(file.fileno(), max(FIRST_BYTES, os.fstat(file.fileno()).st_size))
            made.rename(self._path)
            super().__init__(str(self._path))  # type: ignore[no-untyped-call]
        if self._used + len(key.encode()) + ENTRY_BYTES > self._capacity:  # it will double
            self._take(self._f.fileno(), 2 * self._capacity)

    @staticmethod
    def _take(file: int, size: int) -> None:
        os.posix_fallocate(file, 0, size)
        MetricFile._full = False


def install() -> None:
    """Has all metrics of this process counted in such files, where ``PROMETHEUS_MULTIPROC_DIR`` names a folder."""
    values.MmapedDict = MetricFile  # type: ignore[assignment, attr-defined]
