"""How long a start takes, a runner and the API until they answer again after ``kill -9``, and what all processes hold.

``python -m benchmarks.starts`` prints it; it means something on a machine that does nothing else.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import httpx

from benchmarks.processes import pss_bytes
from tests.support.served import DATA, Bundle, descendants, serve, wait_for

LONGEST_S = 60.0
LOOK_EVERY_S = 0.02
REST_S = 6.0  # a process that dies younger than 5 s is started again only after a pause


def answers(bundle: Bundle) -> bool:
    """Whether the API and the runner for voices answer."""
    voice = (DATA / "voices" / "male_1.flac").read_bytes()
    try:
        return httpx.post(f"{bundle.url}/api/detect-gender", files={"audio": voice}, timeout=LONGEST_S).is_success
    except httpx.HTTPError:
        return False


def until(condition: Callable[[], bool]) -> None:
    """Looks often until a condition holds."""
    deadline = time.monotonic() + LONGEST_S
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"it took more than {LONGEST_S:g} s")
        time.sleep(LOOK_EVERY_S)


def back_after_kill(bundle: Bundle, service: str) -> float:
    """Kills a process, and tells how long it takes until it answers again (seconds)."""
    time.sleep(REST_S)
    (pid,) = bundle.workers(service)
    started = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    until(lambda: (found := bundle.workers(service)) != [] and pid not in found)
    until(lambda: answers(bundle))
    return time.monotonic() - started


def main() -> int:
    """Measures and prints."""
    print(f"load average {os.getloadavg()[0]:.1f}")
    started = time.monotonic()
    with serve(Path(os.environ["BENTOML_HOME"]), {}) as bundle:
        print(f"ready after {time.monotonic() - started:.1f} s")
        wait_for(lambda: answers(bundle), LONGEST_S)
        held = sum(pss_bytes(pid) for pid in (bundle.process.pid, *descendants(bundle.process.pid)))
        print(f"all processes hold {held / (1 << 20):.0f} MiB (PSS)")
        print(f"a runner answers again {back_after_kill(bundle, 'VoiceGender'):.1f} s after kill -9")
        print(f"the API answers again {back_after_kill(bundle, 'MediaClassifier'):.1f} s after kill -9")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
