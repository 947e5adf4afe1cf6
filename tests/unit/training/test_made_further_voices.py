"""The set of further voices, made from a list and from repositories of made-up recordings."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from tests.support.recordings import git, manifest, publish
from training.data import further_voices
from training.data.further_voices import LIST, SET
from training.data.listed import rows
from training.data.repositories import Repositories
from training.data.voice_treatment import SAMPLE_RATE, active_db, background, treated

Audio = NDArray[np.float32]


def recording(seed: int, seconds: float = 4.0, hum: float = 0.0) -> Audio:
    """Bursts that stand for words, 60 dB above a background of white noise or of one tone."""
    rng = np.random.default_rng(seed)
    time = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    words = 0.2 * np.sin(2 * np.pi * 200 * time) * (np.sin(2 * np.pi * time) > 0)
    quiet = np.sin(2 * np.pi * hum * time) if hum else rng.standard_normal(time.size)
    return np.asarray(words + 2e-4 * quiet, np.float32)


@pytest.fixture
def public(tmp_path: Path) -> tuple[Path, str]:
    """Folder of a public repository ``someone/voices``, and its commit."""
    names = ("human 1.wav", "human 2.flac", "machine.wav")
    recordings = {name: recording(seed) for seed, name in enumerate(names)}
    return tmp_path / "public", publish(tmp_path / "public" / "someone" / "voices", recordings, SAMPLE_RATE)


def listed(commit: str) -> list[dict[str, str]]:
    common = {"repository": "someone/voices", "commit": commit, "language": "en", "licence": "CC0 1.0"}
    return [
        {"file": "human/1.opus", "path": "human 1.wav", "label": "HUMAN", "system": "human", "group": "a"}
        | {"start_s": "0.00", "end_s": "1.50", "background": "yes"} | common,
        {"file": "human/2.opus", "path": "human 2.flac", "label": "HUMAN", "system": "human", "group": "b"}
        | {"start_s": "1.00", "end_s": "3.50", "background": "yes"} | common,
        {"file": "ai/1.opus", "path": "machine.wav", "label": "AI_GENERATED", "system": "Box", "group": "c"}
        | {"start_s": "2.00", "end_s": "3.50", "background": ""} | common,
    ]  # fmt: skip


def test_the_set_is_made_again_from_its_list(public: tuple[Path, str], tmp_path: Path) -> None:
    """From a fetched repository as from a clone that is there, sample for sample."""
    address, commit = public
    rows_ = listed(commit)
    SET.build(rows_, Repositories(tmp_path / "fetched", str(address / "{}")), tmp_path / "one")
    (tmp_path / "clones").mkdir()
    git(tmp_path / "clones", "clone", "-q", str(address / "someone" / "voices"), "someone+voices")
    SET.build(rows_, Repositories(tmp_path / "clones", "nowhere/{}"), tmp_path / "two")
    manifests = [manifest(tmp_path / name) for name in ("one", "two")]
    assert manifests[0] == manifests[1]
    assert tuple(manifests[0][0]) == further_voices.COLUMNS
    for line, row in zip(manifests[0], rows_, strict=True):
        assert (line["file"], line["label"], line["speaker_or_group"]) == (row["file"], row["label"], row["group"])
        assert line["source"] == f"github:someone/voices@{commit[:12]}:{row['path']}"
        assert line["codec"].split(">")[0] == Path(row["path"]).suffix[1:].replace("wav", "pcm")
        one, two = (soundfile.read(tmp_path / name / line["file"])[0] for name in ("one", "two"))
        np.testing.assert_array_equal(one, two)
        seconds = len(one) / soundfile.info(tmp_path / "one" / line["file"]).samplerate
        cut = float(row["end_s"]) - float(row["start_s"])
        assert cut + 0.03 < seconds < cut + 0.35


def test_a_second_run_goes_on_with_what_lacks(public: tuple[Path, str], tmp_path: Path) -> None:
    address, commit = public
    SET.build(listed(commit)[:2], Repositories(tmp_path / "clones", str(address / "{}")), tmp_path / "set")
    before = (tmp_path / "set" / "human" / "1.opus").stat().st_mtime_ns
    written = (tmp_path / "set" / "manifest.csv").read_bytes()
    (tmp_path / "set" / "manifest.csv").write_bytes(written[:-4])  # killed while it wrote
    SET.build(listed(commit), Repositories(tmp_path / "clones", str(address / "{}")), tmp_path / "set")
    assert (tmp_path / "set" / "human" / "1.opus").stat().st_mtime_ns == before
    assert [line["split"] for line in manifest(tmp_path / "set")] == ["train"] * 3


def test_a_missing_commit_is_an_error(public: tuple[Path, str], tmp_path: Path) -> None:
    with pytest.raises(subprocess.CalledProcessError):
        SET.build(listed("0" * 40), Repositories(tmp_path / "clones", str(public[0] / "{}")), tmp_path / "set")


def test_level_and_background_do_not_depend_on_the_recording() -> None:
    """A loud clip and a soft one, both without noise, end at the same levels and with the other recording's hum."""
    other = background(recording(5, hum=1_000.0))
    clean = recording(1, hum=1.0)
    levels, peaks = [], []
    for gain in (0.05, 1.0):
        for seed in range(8):
            clip, _ = treated(gain * clean[: 2 * SAMPLE_RATE], other, np.random.default_rng(seed))
            levels.append(active_db(clip))
            peaks.append(int(np.argmax(background(clip)[0][8:])) + 8)
    assert min(levels) > -29
    assert max(levels) < -15
    assert np.median(peaks) == 32  # 1 kHz, in steps of 31.25 Hz


def test_digital_silence_has_a_background() -> None:
    spectrum, below = background(np.zeros(SAMPLE_RATE, np.float32))
    assert spectrum.shape == (257,)
    assert np.isfinite(below)


def test_the_list_is_whole() -> None:
    """Every line names its origin, terms and cut; no clip is listed twice."""
    lines = rows(LIST)
    assert len({line["file"] for line in lines}) == len(lines)
    assert len({(line["repository"], line["path"], line["start_s"]) for line in lines}) == len(lines)
    for line in lines:
        assert len(line["commit"]) == 40
        assert all(line[name] for name in ("repository", "path", "licence", "group", "system", "language"))
        assert 1.0 < float(line["end_s"]) - float(line["start_s"]) < 8.0
        assert (line["label"] == "HUMAN") == (line["system"] == "human")
