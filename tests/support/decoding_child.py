"""A process of its own that decodes what it is given, and says how much memory that took.

Its memory is bounded, so that a fault costs this process and not the machine.
"""

from __future__ import annotations

import ctypes
import resource
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
HEADROOM = 1 << 30  # bytes of address space above what the idle process has
RESET_PEAK = "5"  # written to /proc/self/clear_refs


class Cost(NamedTuple):
    """What decoding came to: the HTTP status, and at the highest how many bytes more the process had than before."""

    status: int
    grown: int


@contextmanager
def child(kind: str) -> Iterator[Callable[[bytes], Cost]]:
    """Starts the process for ``audio``, ``image`` or ``opus`` in pieces, and gives what asks it."""
    command = [sys.executable, "-m", "tests.support.decoding_child", kind]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        pipe_in, pipe_out = process.stdin, process.stdout

        def ask(data: bytes) -> Cost:
            pipe_in.write(struct.pack("<q", len(data)) + data)
            pipe_in.flush()
            answer = pipe_out.read(16)
            assert len(answer) == 16, "the process died"
            return Cost(*struct.unpack("<qq", answer))

        try:
            yield ask
        finally:
            pipe_in.close()
            process.wait(30)


def _kilobytes(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(name)).split()[1])


def _decoder(kind: str) -> Callable[[bytes], object]:
    if kind == "image":
        from media.image import decode_image

        return decode_image
    if kind == "opus":
        return _stream
    from media.audio import AudioLimits, decode

    return lambda data: decode(data, limits=AudioLimits(), target_rate=16_000)


def _stream(data: bytes) -> None:
    """What a live stream does with it, in messages of 64 KiB: no sound is kept."""
    from media.opus import OpusStream

    stream = OpusStream(64 << 20)
    for start in range(0, len(data), 1 << 16):
        for _ in stream.feed(data[start : start + (1 << 16)]):
            pass
    list(stream.finish())


def _status(decode: Callable[[bytes], object], data: bytes) -> int:
    from core.errors import ServiceError

    try:
        decode(data)
    except ServiceError as error:
        return error.status
    except Exception as error:
        print(repr(error), file=sys.stderr)
        return 500
    return 200


def main() -> None:
    """Answers until the input ends; the first request warms up."""
    decode = _decoder(sys.argv[1])
    bound = 0
    while size := sys.stdin.buffer.read(8):
        data = b""
        # What the allocator keeps of earlier pictures would else count for this one, by the order of the tests.
        ctypes.CDLL(None).malloc_trim(0)
        idle = _kilobytes("VmRSS")
        data = sys.stdin.buffer.read(struct.unpack("<q", size)[0])
        Path("/proc/self/clear_refs").write_text(RESET_PEAK)
        status = _status(decode, data)
        grown = (_kilobytes("VmHWM") - idle) << 10
        if not bound:
            bound = (_kilobytes("VmSize") << 10) + HEADROOM
            resource.setrlimit(resource.RLIMIT_AS, (bound, bound))
        sys.stdout.buffer.write(struct.pack("<qq", status, grown))
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
