"""The data sets' public origins, and rebuilding from a server that has their files."""

from __future__ import annotations

import csv
import functools
import gzip
import hashlib
import io
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import pytest
import soundfile

from training.data import origins, rebuild
from training.data.datasets import read_manifest
from training.data.download import Downloader, MissingFileError


class Store(ThreadingHTTPServer):
    """Files by path; answers ranges, and may break off an answer."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, bytes] = {}
        self.ranges: list[str | None] = []
        self.break_after: int | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Store

    def do_GET(self) -> None:
        found, wanted = self.server.files.get(self.path), self.headers.get("range")
        self.server.ranges.append(wanted)
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted else 0
        self.send_response(404 if found is None else 416 if start >= len(found) else 206 if wanted else 200)
        body = b"" if found is None else found[start:]
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        cut, self.server.break_after = self.server.break_after, None
        self.wfile.write(body[:cut])
        self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing."""


@pytest.fixture
def store() -> Iterator[Store]:
    with Store() as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running
        running.shutdown()


@pytest.fixture
def downloader(store: Store) -> Iterator[Downloader]:
    with Downloader(store.url, pause_s=0.01) as made:
        yield made


def wav(samples: np.ndarray[Any, Any], rate: int) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format="WAV", subtype="PCM_16")
    return file.getvalue()


def choose(folder: Path, name: str, rows: list[dict[str, str]]) -> None:
    """Writes a manifest of a few rows in place of the real one."""
    with gzip.open(folder / f"{name}.csv.gz", "wt", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


@pytest.fixture
def manifests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(origins, "MANIFESTS", tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", rebuild.SETS)
def test_every_file_of_every_set_has_an_origin_with_a_licence(name: str) -> None:
    rows = origins.manifest(name)
    assert {row["split"] for row in rows} == {"train", "val"}
    found = {origins.origin_of(name, row) for row in rows}
    assert found == {origin for origin in origins.ORIGINS if origin.data == name}, "an origin without files"
    assert all(origin.licence for origin in found)
    assert all(len(origin.commit) == 40 for origin in found if origin.repository)


def test_addresses_are_those_of_the_public_repositories() -> None:
    voice = next(row for row in origins.manifest("voice_gender") if "1098-133695-0000" in row["origin"])
    assert origins.origin_of("voice_gender", voice).address(voice) == (
        "https://raw.githubusercontent.com/resemble-ai/Resemblyzer/15d828edebe06bc72b9cabc8ef8ca5ab2cb457ce"
        "/audio_data/librispeech_train-clean-100/1098-133695-0000.flac"
    )
    spaced = next(row for row in origins.manifest("voice_deepfake") if "Voice 9.wav" in row["source"])
    address = origins.origin_of("voice_deepfake", spaced).address(spaced)
    assert address is not None
    assert address.endswith("/109a95651bf8/Speaker_1_Female_North_Indian_Region/Voice%209.wav")


def test_it_says_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert rebuild.main([]) == 0
    said = capsys.readouterr().out
    assert "face_gender: 7076 files" in said
    assert "non-commercial research only" in said
    assert "by hand" in said


def test_a_broken_download_goes_on_where_it_stopped(store: Store, downloader: Downloader, tmp_path: Path) -> None:
    store.files["/a/b.bin"] = bytes(range(256)) * 400
    store.break_after = 70_000
    assert downloader.fetch("https://example.org/a/b.bin", tmp_path / "b.bin")
    assert (tmp_path / "b.bin").read_bytes() == store.files["/a/b.bin"]
    assert store.ranges[0] is None
    assert store.ranges[1] is not None
    assert 0 < int(store.ranges[1][6:-1]) <= 70_000
    assert not downloader.fetch("https://example.org/a/b.bin", tmp_path / "b.bin")
    assert len(store.ranges) == 2


def test_a_part_of_another_file_is_fetched_anew(store: Store, downloader: Downloader, tmp_path: Path) -> None:
    store.files["/short"] = b"short"
    (tmp_path / "short.part").write_bytes(b"the beginning of something longer")
    downloader.fetch("https://example.org/short", tmp_path / "short")
    assert (tmp_path / "short").read_bytes() == b"short"
    with pytest.raises(MissingFileError):
        downloader.fetch("https://example.org/nothing", tmp_path / "nothing")


def test_heart_sounds_are_the_same_samples_again(store: Store, manifests: Path, tmp_path: Path) -> None:
    samples = (np.sin(np.arange(31 * 4_000) / 5) * 9_000).astype("<i2")
    kept = hashlib.sha256(samples[: 30 * 4_000].tobytes()).hexdigest()[:16]
    place = "PhysioNet challenge-2016 1.0.0 training-c"
    rows = [
        {"file": f"normal/{name}.flac", "label": "normal", "group_id": name, "split": "train", "source": "PhysioNet",
         "pcm_sha256_16": kept, "origin": f"{place}/{name}.wav"}
        for name in ("c1", "c2", "c3")
    ]  # fmt: skip
    rows.append({**rows[0], "file": "murmur/pa.flac", "origin": "PASCAL set_a/murmur__1.wav", "source": "PASCAL CHSC"})
    choose(manifests, "heart_sounds", rows)
    store.files["/files/challenge-2016/1.0.0/training-c/c1.wav"] = wav(samples, 4_000)
    store.files["/files/challenge-2016/1.0.0/training-c/c2.wav"] = wav(samples[::2], 2_000)
    with Downloader(store.url) as downloader:
        outcome = rebuild.rebuild("heart_sounds", tmp_path / "sets", downloader)
    assert outcome == {"same": 1, "close": 1, "missing": 1, "by hand": 1}
    clips = read_manifest(tmp_path / "sets" / "heart_sounds", "train")
    assert [clip.path.name for clip in clips] == ["c1.flac", "c2.flac"]
    assert soundfile.info(clips[0].path).frames == 30 * 4_000


def test_faces_are_scaled_down(store: Store, manifests: Path, tmp_path: Path) -> None:
    picture = np.full((200, 200, 3), (10, 120, 240), np.uint8)
    address = f"/mattans/AgeProgression/{origins.ORIGINS[0].commit}/data/UTKFace/unlabeled/1_1_1_2%20.jpg"
    store.files[address] = cv2.imencode(".jpg", picture)[1].tobytes()
    row = {"file": "images/1.jpg", "label": "male", "group_id": "g", "split": "val", "source": "UTKFace/1_1_1_2 .jpg"}
    choose(manifests, "face_gender", [row])
    assert rebuild.main(["face_gender", "--out", str(tmp_path / "sets"), "--mirror", store.url]) == 0
    made = cv2.imread(str(read_manifest(tmp_path / "sets" / "face_gender", "val")[0].path))
    assert made is not None
    assert made.shape == (128, 128, 3)
    np.testing.assert_allclose(made.mean(axis=(0, 1)), (10, 120, 240), atol=3)


def test_without_a_network_it_says_so_and_can_go_on(
    manifests: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rebuild, "Downloader", functools.partial(Downloader, pause_s=0.0))
    row = {"file": "a.flac", "label": "female", "group_id": "g", "split": "val", "source": "x", "origin": "|EMO-DB 08a"}
    choose(manifests, "voice_gender", [row])
    assert rebuild.main(["voice_gender", "--out", str(tmp_path), "--mirror", "http://127.0.0.1:9"]) == 1
    assert "run this again to go on" in capsys.readouterr().err
    with pytest.raises(httpx.HTTPError), Downloader("http://127.0.0.1:9", 0.0) as downloader:
        rebuild.rebuild("voice_gender", tmp_path, downloader)


def test_only_data_sets_have_names(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        rebuild.main(["imagenet"])
    assert "no data set is called imagenet" in capsys.readouterr().err
