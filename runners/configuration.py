"""Checks of settings that need more than ``core.settings`` knows: models, addresses, the engine, this machine.

They run before anything starts.
"""

from __future__ import annotations

import logging
import os
import sys
import tempfile
from collections.abc import Iterable

from core import tracing
from core.settings import Settings
from engine.select import is_native, problem
from media.addresses import AllowedHosts
from models import registry

log = logging.getLogger("bundle.start")

# What every process of the server loads. No code of ours: a worker that is started again is to have that of the disk,
# as `bentoml serve --reload` promises.
LIBRARIES = (
    "_bentoml_impl.client.proxy2",
    "_bentoml_impl.loader",
    "_bentoml_impl.server.app",
    "bentoml._internal.server.http.traffic",
    "bentoml._internal.utils.analytics",
    "bentoml.container",
    "concurrent_log_handler",
    "cv2",
    "numpy.fft",
    "numpy.ma",
    "numpy.random",
    "opentelemetry.instrumentation.asgi",
    "opentelemetry.sdk.trace.export",
    "prometheus_client.multiprocess",
    "pydantic_settings",
    "uvicorn.lifespan.on",
    "uvicorn.loops.uvloop",
    "uvicorn.protocols.http.httptools_impl",
    "uvicorn.protocols.websockets.websockets_sansio_impl",
)


def preloaded(settings: Settings) -> tuple[str, ...]:
    """Modules that every process loads, whatever it serves; not the frameworks of native networks."""
    return LIBRARIES if is_native(settings) else (*LIBRARIES, "openvino")


def check(settings: Settings) -> None:
    """Stops the start where a value cannot be right, although its form is.

    Raises:
        SystemExit: The message is one line that names the variable.
    """
    try:
        AllowedHosts.parse(settings.allowed_private_hosts)
    except ValueError as error:
        _stop("ALLOWED_PRIVATE_HOSTS", str(error))
    if settings.redis_url:
        from storage.redis_client import check_url  # loads redis, which takes every process 0.1 s

        try:
            check_url(str(settings.redis_url))
        except ValueError as error:
            _stop("REDIS_URL", str(error))
    if unknown := _unknown(settings.runners):
        _stop("RUNNERS", unknown)
    if wrong_group := _wrong_group([name for group in settings.runners_together for name in group]):
        _stop("RUNNERS_TOGETHER", wrong_group)
    if wrong := problem(settings):
        _stop(*wrong)
    if name := tracing.unknown_protocol(os.environ):
        _stop(name, f"traces are exported over {tracing.PROTOCOL} only")
    for name, folder in (("DATA_DIR", settings.data_dir), ("LOG_DIR", settings.log_dir)):
        nearest = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
        if not nearest.is_dir():
            _stop(name, f"{folder} is not a folder and cannot become one")


def try_data_dir(settings: Settings) -> None:
    """Logs a warning at the start where ``DATA_DIR`` cannot be written, before a heart sound is refused by it."""
    folder = settings.data_dir
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        log.warning("no data files: DATA_DIR %s cannot be written: %s", folder, error.strerror)


def _unknown(names: Iterable[str]) -> str:
    """The message about names that no model has; empty where each is a model's."""
    models = registry.specs()
    unknown = sorted(set(names) - models.keys())
    return f"no model is called {', '.join(unknown)}, there are {', '.join(models)}" if unknown else ""


def _wrong_group(names: list[str]) -> str:
    """What is wrong with the names in ``RUNNERS_TOGETHER``; nothing where they can be right."""
    if names == ["all"]:
        return ""
    return _unknown(names) or ("a model is named twice" if len(set(names)) < len(names) else "")


def _stop(name: str, problem: str) -> None:
    sys.exit(f"configuration error: {name}: {problem}")
