"""The supervisor of ``bentoml serve``: what it hands on, and how soon a process that was killed is started again.

BentoML has it look every 10 s (circus' own default is 1 s): a killed process was missed for 5 s on average, longer than
its whole start takes. The processes of a built bento it starts in the folder of that bento, within the store.
"""

from __future__ import annotations

import atexit
import contextlib
import difflib
import inspect
import logging
import os
import signal
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Any

from dotenv import dotenv_values

from core.logs import service_of
from core.settings import ENV_FILE, IN_REDIS, Settings, get_settings

log = logging.getLogger("bundle.supervisor")

LOOK_EVERY_S = 0.5
# A process that ends this soon after its start will most likely do so again, and each start costs seconds of processor
# time: then BentoML's own pause is kept.
YOUNG_S = 5.0
PAUSE_S = 10.0
STOP_AGAIN_S = 0.1
ENDING_S = 1.0  # in which the threads of a killed process end: it is dead at once, and how it ended is known after that
NEAR = 0.82  # of 1: `MAX_BODY` is near to `MAX_BODY_MB`, and `DATASETS_DIR` of `training` not to `DATA_DIR`
BENTOML_LOADER = "bentoml._internal.service.loader"


def hand_on() -> None:
    """Makes ``.env`` and the paths of the folder in which the server was started hold here and in what is started.

    Does nothing in the processes that the supervisor starts. Settings are read after it.
    """
    if "bentoml_cli" not in sys.modules:
        return
    folder = _started_in()
    known = {name.lower() for name, value in os.environ.items() if value}
    for name, value in dotenv_values(folder / ENV_FILE).items():
        if value and name.lower() not in known:
            os.environ[name] = value
    settings = get_settings()
    paths = {"log_dir": settings.log_dir, "data_dir": settings.data_dir}
    if settings.key_store and settings.key_store != IN_REDIS:
        paths["key_store"] = Path(settings.key_store)
    for name in [name for name in os.environ if name.lower() in paths]:
        del os.environ[name]
    os.environ.update({name.upper(): str(folder / path) for name, path in paths.items()})
    get_settings.cache_clear()


def warn_of_misspelt() -> None:
    """Logs the names in ``.env`` that are near to a setting and are none: a file may hold what others read, too.

    Does nothing in the processes that the supervisor starts.
    """
    if "bentoml_cli" not in sys.modules:
        return
    known = [name.upper() for name in Settings.model_fields]
    for name in dotenv_values(_started_in() / ENV_FILE):
        if name.upper() not in known and (near := difflib.get_close_matches(name.upper(), known, 1, NEAR)):
            log.warning("%s in %s is ignored, the setting is called %s", name, ENV_FILE, near[0])


def _started_in() -> Path:
    """The folder in which the command was given: while BentoML imports a bento, it works in that of the bento."""
    frame: FrameType | None = inspect.currentframe()
    while frame is not None:
        if frame.f_globals.get("__name__") == BENTOML_LOADER and (before := frame.f_locals.get("prev_cwd")):
            return Path(before)
        frame = frame.f_back
    return Path.cwd()


def _how_it_ended(pid: int) -> dict[str, str | int]:
    """The signal or the exit code of a child that has not been waited for yet, as a field of a log line."""
    until = time.monotonic() + ENDING_S
    with contextlib.suppress(ChildProcessError, ValueError):  # it was waited for meanwhile; a signal without a name
        while time.monotonic() < until:
            if found := os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                exited = found.si_code == os.CLD_EXITED
                return {"exit_code": found.si_status} if exited else {"signal": signal.Signals(found.si_status).name}
            time.sleep(0.01)
    return {}


def look_often() -> None:
    """Makes the supervisor that this process is about to become look often; does nothing in the processes it starts."""
    if "bentoml_cli" not in sys.modules:
        return
    from bentoml._internal.utils import circus
    from circus import arbiter  # type: ignore[import-untyped]
    from circus.exc import ConflictError  # type: ignore[import-untyped]
    from circus.process import DEAD_OR_ZOMBIE, UNEXISTING  # type: ignore[import-untyped]

    class Attentive(circus.Arbiter):
        """BentoML's supervisor, which looks more often and waits after a process that died young."""

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs | {"check_delay": LOOK_EVERY_S})
            self._rests_until = 0.0
            self._told: set[int] = set()

        def manage_watchers(self) -> Any:
            """Starts what has ended again."""
            if not self._stopping:
                self._tell_what_has_ended()
            if time.monotonic() < self._rests_until:
                return None
            if any(self._died_young(process) for w in self.iter_watchers() for process in w.processes.values()):
                self._rests_until = time.monotonic() + PAUSE_S
                return None
            with contextlib.suppress(ConflictError):  # it starts or stops at this moment
                return super().manage_watchers()

        def stop(self) -> Any:
            """Ends; what it is doing at this moment is awaited, since a signal that comes meanwhile would be lost."""
            if self._exclusive_running_command is not None:
                self.loop.call_later(STOP_AGAIN_S, self.stop)
                return None
            # BentoML removes the sockets of the runners here, before the API has finished what it is asked.
            atexit.register(self.exit_stack.close)
            self.exit_stack = contextlib.ExitStack()
            return super().stop()

        def _tell_what_has_ended(self) -> None:
            """Logs each process that has ended since it last looked."""
            ended = {p.pid: w for w in self.iter_watchers() for p in w.processes.values() if self._is_dead(p)}
            for pid in ended.keys() - self._told:
                service = service_of(ended[pid].args or ()) or ended[pid].name  # what reloads has no arguments
                log.warning("%s has ended", service, extra={"service": service, "pid": pid, **_how_it_ended(pid)})
            self._told = set(ended)

        def _is_dead(self, process: Any) -> bool:
            return process.status in (DEAD_OR_ZOMBIE, UNEXISTING)

        def _died_young(self, process: Any) -> bool:
            return self._is_dead(process) and process.age() < YOUNG_S

    arbiter._setproctitle = lambda title: None  # noqa: SLF001 - it would call this process ``circusd``
    circus.Arbiter = Attentive  # type: ignore[misc]  # a class is replaced
