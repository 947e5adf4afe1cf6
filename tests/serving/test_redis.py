"""The bundle with Redis: replicas agree, and a Redis that dies fails no request."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from storage.latest import REDIS_KEY
from tests.support.heart_bytes import heartbeat, pcm, upload
from tests.support.redis_server import RedisServer
from tests.support.served import TOGETHER, serve
from tests.support.site_thread import LocalSite

pytestmark = [pytest.mark.served, pytest.mark.redis]


def test_latest_result_and_cache(redis_server: RedisServer, store: Path, site: LocalSite, voice: bytes) -> None:
    """The result is kept in Redis, and so is the cache, and one that is down slows but fails no request."""
    urls = [site.add_file(f"/redis-{number}.flac", voice) for number in range(3)]
    with serve(store, TOGETHER | {"REDIS_URL": redis_server.url}) as bundle, bundle.client() as client:
        answer = upload(client, pcm(heartbeat())).json()
        (bundle.data_dir / "data.json").unlink(missing_ok=True)
        assert client.get("/").json() == answer  # as another replica would see it
        for _ in range(2):
            assert client.post("/analyze-audio", json={"audio_url": urls[0]}).status_code == 200
        assert site.hits("/redis-0.flac") == 1
        with redis_server.client as inside:
            for key in inside.scan_iter("bundle:cache:*"):
                inside.set(key, inside.get(key).replace("audio_scene:", "audio_scene:\\r\\n"))
            inside.hset(REDIS_KEY, "at", "inf")
        response = client.post("/analyze-audio", json={"audio_url": urls[0]})  # asked anew: no model has such a tag
        assert response.status_code == 200
        assert response.headers["x-model"].startswith("audio_scene:")
        assert site.hits("/redis-0.flac") == 2
        assert upload(client, pcm(heartbeat())).json() == client.get("/").json() == answer
        counts = re.findall(r'^bundle_store_invalid_total\{store="(\w+)"\} (\S+)', client.get("/metrics").text, re.M)
        assert dict(counts) == {"cache": "1.0", "latest_redis": "1.0", "latest_file": "0.0"}

        redis_server.kill()
        assert upload(client, pcm(heartbeat(level=0.3))).status_code == 200
        assert client.get("/").status_code == 200
        for url in urls:
            assert client.post("/analyze-audio", json={"audio_url": url}).status_code == 200
        assert client.get("/readyz").status_code == 200
