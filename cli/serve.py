"""``mediaclassify serve``, which ``make serve`` runs: the five questions over HTTP."""

from __future__ import annotations

import errno
import ipaddress
import os
import signal
import socket
import sys
import time
import urllib.request
from http.client import HTTPException
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from core.settings import Settings

LOOK_EVERY_S = 0.25
ASK_TIMEOUT_S = 5.0


def main() -> int:
    """Puts the bundled models into the model store and serves all five questions until it is ended.

    Settings come from the environment or ``.env``.

    Returns:
        The exit status where it cannot start: 1, after one line on why. Otherwise the server takes the place of this
        process.
    """
    from core.settings import get_settings

    settings = get_settings()
    if problem := port_problem(str(settings.host), settings.port):
        print(f"error: {problem}", file=sys.stderr)
        return 1
    _announce_when_ready(settings)
    from models import save

    if status := save.main([]):
        return status
    sys.stdout.flush()
    return os.execv(sys.executable, [sys.executable, "-m", "bentoml", "serve", "service:MediaClassifier"])  # noqa: S606


def port_problem(host: str, port: int) -> str | None:
    """Why nothing can listen on an address, in one line; None where it can."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host, port), family=family).close()
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            other = port + 1 if port < 65535 else 3000
            return f"port {port} of {host} is in use: end what listens there, or take another: PORT={other} make serve"
        return f"nothing can listen on port {port} of {host}: {(error.strerror or str(error)).lower()}"
    return None


def greeting(settings: Settings) -> str:
    """Three lines for a person: where it listens, where to try it, and what is not configured."""
    url = address(settings)
    playground = f"{url}/ui" if settings.playground else "off (PLAYGROUND=false)"
    return f"Listening on {url}, documents at {url}/docs\nPlayground: {playground}\n{_who_may_ask(settings)}\n"


def _who_may_ask(settings: Settings) -> str:
    if settings.key_store:
        return f"Every question needs a key of {settings.key_store} (mediaclassify keys, docs/keys.md)"
    if keys := len(settings.keys):
        return f"/api/voice-detection: callers with {'the key' if keys == 1 else f'one of {keys} keys'}"
    return "Not configured: API_KEY, so /api/voice-detection refuses every caller (API_KEY=secret make serve)"


def address(settings: Settings) -> str:
    """The URL at which this machine reaches the server."""
    host = ipaddress.ip_address(settings.host)
    if host.is_unspecified:
        host = ipaddress.ip_address("127.0.0.1" if host.version == 4 else "::1")
    return f"http://[{host}]:{settings.port}" if host.version == 6 else f"http://{host}:{settings.port}"


def _announce_when_ready(settings: Settings) -> None:
    """Has a process of its own greet once every model answers; it ends with this process, or the server after it."""
    server = os.getpid()
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        return
    if os.fork():  # so that the server, which will not wait for it, is not its parent
        os._exit(0)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        if _is_ready(f"{address(settings)}/readyz", server):
            sys.stdout.write(greeting(settings))
            sys.stdout.flush()
    finally:
        os._exit(0)


def _is_ready(url: str, server: int) -> bool:
    """Waits; false when the server has ended."""
    while True:
        time.sleep(LOOK_EVERY_S)
        try:
            os.kill(server, 0)
            with urllib.request.urlopen(url, timeout=ASK_TIMEOUT_S):  # noqa: S310 - our own address
                return True
        except ProcessLookupError:
            return False
        except (OSError, HTTPException):  # not yet; an answer of 503 is an OSError too
            continue
