"""What several tests of the HTTP surface need."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from core.settings import get_settings
from tests.support.redis_server import RedisServer


@pytest.fixture(params=["file", "redis"])
def store(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    """A store of keys, named in the settings."""
    place = str(tmp_path / "keys.json")
    if request.param == "redis":
        server: RedisServer = request.getfixturevalue("redis_server")
        with redis.Redis.from_url(server.url) as client:
            client.flushall()
        monkeypatch.setenv("REDIS_URL", server.url)
        place = "redis"
    monkeypatch.setenv("KEY_STORE", place)
    get_settings.cache_clear()
    yield place
    get_settings.cache_clear()
