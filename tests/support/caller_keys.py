"""The command that makes keys of callers."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from cli.__main__ import main


def command(*arguments: str) -> int:
    """``python -m cli keys``, in a thread of its own: the command runs a loop."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(main, ["keys", *arguments]).result()
