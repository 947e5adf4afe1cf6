"""The set of further scenes, made from a list, from a repository of made-up recordings and from a package."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from tests.support.recordings import manifest, publish
from training.data.further_scenes import COLUMNS, LEVEL_DBFS, LIST, SET
from training.data.listed import rows
from training.data.repositories import DEBIAN, SAMPLE_RATE, Repositories

Audio = NDArray[np.float32]


def noise(seed: int, level: float, seconds: float = 4.0) -> Audio:
    rng = np.random.default_rng(seed)
    return np.asarray(level * rng.standard_normal(int(seconds * SAMPLE_RATE)), np.float32)


def decibels(samples: NDArray[np.float64]) -> float:
    return float(10 * np.log10(np.mean(np.square(samples))))


@pytest.fixture
def clones(tmp_path: Path) -> Path:
    """A folder in which the package ``rain`` has been unpacked."""
    folder = tmp_path / "clones"
    sounds = folder / f"{DEBIAN}rain_1.0-2" / "usr" / "share"
    sounds.mkdir(parents=True)
    soundfile.write(sounds / "rain.ogg", noise(1, 0.2), SAMPLE_RATE)
    return folder


def listed(commit: str) -> list[dict[str, str]]:
    common = {"group": "a", "licence": "CC0 1.0", "start_s": "0.50", "end_s": "3.00"}
    github = {"repository": "someone/rooms", "commit": commit} | common
    return [
        github | {"file": "noise/1.flac", "path": "fan.wav", "label": "noise"},
        github | {"file": "noise/2.flac", "path": "fan.wav", "label": "noise", "start_s": "1.50"},
        github | {"file": "silence/1.flac", "path": "room.wav", "label": "silence"},
        {"repository": "debian:rain", "commit": "1.0-2", "path": "usr/share/rain.ogg"} | common
        | {"file": "noise/3.flac", "label": "noise"},
    ]  # fmt: skip


def test_the_set_is_made_again_from_its_list(clones: Path, tmp_path: Path) -> None:
    """Sounds get a level that chance draws from their line, silence keeps its own."""
    address = str(tmp_path / "public" / "{}")
    recordings = {"fan.wav": noise(2, 0.01), "room.wav": noise(3, 0.001)}
    commit = publish(tmp_path / "public" / "someone" / "rooms", recordings, SAMPLE_RATE)
    lines = listed(commit)
    for name in ("one", "two"):
        SET.build(lines, Repositories(clones, address), tmp_path / name)
    made = manifest(tmp_path / "one")
    assert made == manifest(tmp_path / "two")
    assert tuple(made[0]) == COLUMNS
    assert [(line["file"], line["label"], line["split"]) for line in made] == [
        (line["file"], line["label"], "train") for line in lines
    ]
    assert made[0]["origin"] == f"github:someone/rooms@{commit[:12]}:fan.wav"
    assert made[3]["origin"] == "debian:rain_1.0-2:usr/share/rain.ogg"
    clips = [soundfile.read(tmp_path / "one" / line["file"])[0] for line in made]
    for line, clip in zip(lines, clips, strict=True):
        assert clip.size == (float(line["end_s"]) - float(line["start_s"])) * SAMPLE_RATE
        np.testing.assert_array_equal(clip, soundfile.read(tmp_path / "two" / line["file"])[0])
    levels = [decibels(clip) for clip in clips]
    assert all(LEVEL_DBFS[0] - 1 < level < LEVEL_DBFS[1] + 1 for level in (levels[0], levels[1], levels[3]))
    assert len({round(level) for level in levels}) == 4
    assert levels[2] == pytest.approx(-57.0, abs=1.0)  # two equal channels are 3 dB more than one


def test_the_list_is_whole() -> None:
    """Every line names its origin, terms and cut; no clip is listed twice."""
    lines = rows(LIST)
    assert len({line["file"] for line in lines}) == len(lines)
    assert len({(line["repository"], line["path"], line["start_s"]) for line in lines}) == len(lines)
    for line in lines:
        assert len(line["commit"]) == 40 or line["repository"].startswith(DEBIAN)
        assert all(line[name] for name in ("repository", "commit", "path", "licence", "group"))
        assert 0.7 < float(line["end_s"]) - float(line["start_s"]) < 4.6
        assert line["label"] in ("speech", "music", "noise", "silence")
        assert line["file"].startswith(line["label"])
