"""A Redis of the tests is started again on its own port, though another process may have taken that for a moment."""

from __future__ import annotations

import socket
import threading

from tests.support.redis_server import RedisServer


def test_it_waits_until_its_port_is_free_again(redis_server: RedisServer) -> None:
    redis_server.kill()
    taken = socket.socket()
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    taken.bind(("127.0.0.1", redis_server.port))
    taken.listen()
    later = threading.Timer(0.5, taken.close)
    later.start()
    redis_server.start()
    later.join()
    with redis_server.client as client:
        assert client.ping()
