"""A server that speaks a model hub's protocol: repositories, pinned revisions, ranges, digests, and breaking off."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

COMMIT = "0123456789abcdef0123456789abcdef01234567"
LARGE = 10_000  # bytes: larger files are kept apart from git, as a hub does


@dataclass
class Repository:
    """One repository at the hub.

    Attributes:
        folder: Its files.
        licence: In its card.
        break_at: Bytes of a large file after which the connection is closed; no breaking off if 0.
        failing: Answer 500 to every request for the rest of a file.
        changes: Fields of the listing that are not true, by file name.
        head: The newest commit.
    """

    folder: Path
    licence: str = "apache-2.0"
    break_at: int = 0
    failing: bool = False
    changes: dict[str, dict[str, Any]] = field(default_factory=dict)
    head: str = COMMIT

    def listing(self, name: str) -> dict[str, Any]:
        """What the hub says of a file."""
        data = (self.folder / name).read_bytes()
        git = hashlib.sha1(f"blob {len(data)}\0".encode() + data).hexdigest()
        described: dict[str, Any] = {"rfilename": name, "size": len(data), "blobId": git}
        if len(data) > LARGE:
            digest = hashlib.sha256(data).hexdigest()
            described["lfs"] = {"sha256": digest, "size": len(data), "pointerSize": 134}
        return described | self.changes.get(name, {})

    def etag(self, name: str) -> str:
        """The file's digest, as a hub gives it in a header."""
        described = self.listing(name)
        return str(described["lfs"]["sha256"] if "lfs" in described else described["blobId"])


@dataclass
class Hub:
    """A running hub.

    Attributes:
        url: Its address, for ``HF_ENDPOINT``.
        repositories: By id.
        ranges: The first byte of every file that was asked for, as (file, first byte).
    """

    url: str = ""
    repositories: dict[str, Repository] = field(default_factory=dict)
    ranges: list[tuple[str, int]] = field(default_factory=list)


@contextmanager
def serve_hub() -> Iterator[Hub]:
    """Serves as long as the context lasts; repositories are added by the tests."""
    hub = Hub()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path = unquote(self.path.split("?")[0])
            if path.startswith("/api/models/"):
                self._describe(path.removeprefix("/api/models/"))
            else:
                self._file(path.lstrip("/"), body=self.command == "GET")

        do_HEAD = do_GET  # noqa: N815

        def _describe(self, path: str) -> None:
            repo, _, revision = path.partition("/revision/")
            if repo not in hub.repositories:
                self._fail(401, "RepoNotFound")
            elif revision not in ("", "main", COMMIT):
                self._fail(404, "RevisionNotFound")
            else:
                self._list(repo, hub.repositories[repo], COMMIT if revision == COMMIT else hub.repositories[repo].head)

        def _list(self, repo: str, repository: Repository, commit: str) -> None:
            files = sorted(path.name for path in repository.folder.iterdir())
            body = {
                "_id": "0", "id": repo, "modelId": repo, "sha": commit, "private": False, "tags": [], "downloads": 0,
                "cardData": {"license": repository.licence},
                "siblings": [repository.listing(name) for name in files],
            }  # fmt: skip
            self._send(200, json.dumps(body).encode(), {"Content-Type": "application/json"})

        def _file(self, path: str, *, body: bool) -> None:
            repo, _, rest = path.partition("/resolve/")
            if repo not in hub.repositories:
                self._fail(404, "RepoNotFound")
                return
            repository, name = hub.repositories[repo], rest.rpartition("/")[2]
            data = (repository.folder / name).read_bytes()
            first = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").split("-")[0])
            if body:
                hub.ranges.append((name, first))
            headers = {"ETag": f'"{repository.etag(name)}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
            if first:
                headers["Content-Range"] = f"bytes {first}-{len(data) - 1}/{len(data)}"
            if body and first and repository.failing:
                self._fail(500, "Broken")
                return
            broken = repository.break_at if len(data) > LARGE and not first else 0
            self._send(206 if first else 200, data[first:], headers, body=body, stop_at=broken)

        def _fail(self, status: int, code: str) -> None:
            self._send(status, b"{}", {"X-Error-Code": code})

        def _send(
            self, status: int, data: bytes, headers: dict[str, str], *, body: bool = True, stop_at: int = 0
        ) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(data))}.items():
                self.send_header(name, value)
            self.end_headers()
            if body:
                self.wfile.write(data[:stop_at] if stop_at else data)
            self.close_connection = bool(stop_at)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()
