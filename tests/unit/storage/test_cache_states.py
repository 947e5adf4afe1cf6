"""One cache of two processes under any order of questions, departures and failures (a rule-based state machine)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from tests.support.cache_process import Asked, work
from tests.support.spawned import SPAWN, spawned

KEYS = ("a", "b")
PATIENCE_S = 30.0  # the other process looks for a result every quarter of a second


@pytest.fixture(scope="module")
def pipes() -> Iterator[list[Connection]]:
    """The way to each of the two processes."""
    (here_1, there_1), (here_2, there_2) = SPAWN.Pipe(), SPAWN.Pipe()
    with spawned(work, (there_1, 1), (there_2, 2)):
        yield [here_1, here_2]
        here_1.close()
        here_2.close()


def tell(pipe: Connection, *command: object) -> Any:
    """One step of a process, and what it says."""
    pipe.send(command)
    assert pipe.poll(PATIENCE_S), f"no answer to {command}"
    return pipe.recv()


def test_two_processes_compute_a_result_once(pipes: list[Connection], tmp_path: Path) -> None:
    class CacheStates(RuleBasedStateMachine):
        """Callers in both processes ask for the same keys."""

        count = 0

        def __init__(self) -> None:
            super().__init__()
            CacheStates.count += 1
            for pipe in pipes:
                tell(pipe, "open", str(tmp_path / f"{CacheStates.count}.sqlite3"))
            self.asked: dict[int, tuple[int, str]] = {}  # process and key
            self.known: dict[str, tuple[int, int]] = {}  # process and run that the answer is of
            self.settle()

        def look(self) -> tuple[dict[int, Asked], list[tuple[int, str]]]:
            found: dict[int, Asked] = {}
            running = []
            for number, pipe in enumerate(pipes):
                asked, keys = tell(pipe, "look")
                found |= asked
                running += [(number, key) for key in keys]
            for key in KEYS:
                assert sum(key == one for _, one in running) <= 1, f"both processes compute {key}"
            return found, running

        def settle(self, condition: Callable[[dict[int, Asked]], bool] = lambda _: True) -> dict[int, Asked]:
            """Waits until each key that is waited for is computed, and no other, and the condition holds."""
            deadline = time.monotonic() + PATIENCE_S
            while True:
                found, running = self.look()
                wanted = {self.asked[name][1] for name, one in found.items() if one.state == "waiting"}
                if wanted == {key for _, key in running} and condition(found):
                    self.check(found)
                    return found
                assert time.monotonic() < deadline, (found, running, self.asked)
                time.sleep(0.01)

        def check(self, found: dict[int, Asked]) -> None:
            """Every answer to a key is the one that was computed, and was there already where it was known."""
            for name, one in found.items():
                assert one.state in ("waiting", "answered", "failed", "left"), one
                if one.state == "answered":
                    assert self.known[self.asked[name][1]] == (one.by, one.run)

        @rule(process=st.sampled_from([0, 1]), key=st.sampled_from(KEYS))
        def ask(self, process: int, key: str) -> None:
            name = len(self.asked)
            self.asked[name] = (process, key)
            tell(pipes[process], "ask", name, key)
            found = self.settle(lambda all_: key not in self.known or all_[name].state == "answered")
            if key in self.known:
                assert found[name].hit

        def waiting(self) -> list[int]:
            return [name for name, one in self.look()[0].items() if one.state == "waiting"]

        @precondition(lambda self: self.waiting())
        @rule(data=st.data())
        def leave(self, data: st.DataObject) -> None:
            name = data.draw(st.sampled_from(self.waiting()))
            tell(pipes[self.asked[name][0]], "leave", name)
            self.settle(lambda found: found[name].state == "left")

        @precondition(lambda self: self.waiting())
        @rule(data=st.data(), succeeds=st.booleans())
        def finish(self, data: st.DataObject, succeeds: bool) -> None:
            before, running = self.look()
            number, key = data.draw(st.sampled_from(sorted(running)))
            here = [n for n, one in before.items() if one.state == "waiting" and self.asked[n] == (number, key)]
            all_ = [n for n, one in before.items() if one.state == "waiting" and self.asked[n][1] == key]
            runs = tell(pipes[number], "count")
            tell(pipes[number], "finish", key, succeeds)
            if succeeds:
                self.known[key] = (number + 1, runs[key])
                self.settle(lambda found: all(found[name].state == "answered" for name in all_))
            else:  # those in the other process share the failure, or one of them tries again
                self.settle(lambda found: all(found[name].state == "failed" for name in here))

    run_state_machine_as_test(
        CacheStates,
        settings=settings(
            max_examples=12, stateful_step_count=12, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
