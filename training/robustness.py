"""How many right answers a change to the recording turns: ``python -m training.robustness [--clips N] [NAME ...]``.

Validation clips go through the served path as they are and changed. Of those answered rightly as they are, the share
that is answered otherwise, or refused, is counted. The table goes to ``training/robustness.json`` and into the cards.
"""

from __future__ import annotations

import argparse
import io
import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
import soundfile
from av.audio.stream import AudioStream

from engine.predictor import Predictor
from tasks.voice_deepfake import MEMBERS
from training.data.datasets import Clip, datasets_dir, load_audio, read_manifest
from training.evaluation import tables
from training.evaluation.answers import Answers, answer, ensemble
from training.evaluation.groups import DATASETS, ENSEMBLE
from training.fitting import augment, sound
from training.fitting.augment import Audio

RESULTS = Path(__file__).parent / "robustness.json"
HEARTS = "heart_sound"
MODELS = ("voice_gender", "audio_scene", HEARTS, ENSEMBLE)
CODED = {  # encoder, container, bit/s
    "mp3 64 kbit/s": ("libmp3lame", "mp3", 64_000),
    "Opus 24 kbit/s": ("libopus", "ogg", 24_000),
    "WebM": ("libopus", "webm", 48_000),
    "AAC 64 kbit/s": ("aac", "adts", 64_000),
}
QUIET_HOP = 800  # samples (50 ms), of the stretches of which the quietest is looked for
Change = Callable[[Audio, np.random.Generator], Audio]


def encoded(audio: Audio, kind: str) -> bytes:
    """A clip as a file of one of ``CODED``, or as FLAC or 16-bit WAV."""
    file = io.BytesIO()
    if kind not in CODED:
        soundfile.write(file, np.clip(audio, -1, 1), sound.RATE, format=kind, subtype="PCM_16")
        return file.getvalue()
    codec, container, rate = CODED[kind]
    with av.open(file, "w", format=container) as output:
        stream = cast(AudioStream, output.add_stream(codec, rate=sound.RATE if codec != "libopus" else 48_000))
        stream.layout, stream.bit_rate = "mono", rate
        frame = av.AudioFrame.from_ndarray(np.clip(audio, -1, 1)[None].astype(np.float32), "fltp", "mono")
        frame.sample_rate = sound.RATE
        stream.codec_context.open()
        resampler = av.AudioResampler(stream.format, "mono", stream.rate, stream.frame_size or 960)
        for piece in (*resampler.resample(frame), *resampler.resample(None), None):
            output.mux(stream.encode(piece))
    return file.getvalue()


def noise(ratio_db: float) -> Change:
    """Pink noise behind a clip."""

    def add(audio: Audio, rng: np.random.Generator) -> Audio:
        behind = augment.coloured_noise(audio.size, 1.0, rng)
        return np.asarray(audio + behind * np.sqrt(augment.power(audio)) * 10 ** (-ratio_db / 20), np.float32)

    return add


def quiet(before_s: float, after_s: float, tone_db: float | None = None) -> Change:
    """Silence around a clip, or the hiss of a room so many dB below it."""

    def add(audio: Audio, rng: np.random.Generator) -> Audio:
        around = [np.zeros(round(seconds * sound.RATE), np.float32) for seconds in (before_s, after_s)]
        if tone_db is not None:
            level = np.sqrt(augment.power(audio)) * 10 ** (-tone_db / 20)
            around = [level * augment.coloured_noise(part.size, 1.0, rng) if part.size else part for part in around]
        return np.concatenate([around[0], audio, around[1]]).astype(np.float32)

    return add


def gain(decibels: float) -> Change:
    """Louder or quieter; what passes full scale is clipped, as a recorder does."""
    return lambda audio, _: np.asarray(np.clip(audio * 10 ** (decibels / 20), -1, 1), np.float32)


def pause(seconds: float) -> Change:
    """Silence within a clip, where the middle third of it is quietest."""

    def add(audio: Audio, _: np.random.Generator) -> Audio:
        third = audio.size // 3
        frames = np.square(audio[third : 2 * third]).cumsum()[::QUIET_HOP]
        place = third + QUIET_HOP * int(np.diff(frames).argmin()) if frames.size > 1 else third
        silence = np.zeros(round(seconds * sound.RATE), np.float32)
        return np.concatenate([audio[:place], silence, audio[place:]])

    return add


def lost(seconds: float, times: int = 1) -> Change:
    """Digital silence in place of parts of a clip, wherever they fall."""

    def drop(audio: Audio, rng: np.random.Generator) -> Audio:
        out, size = audio.copy(), round(seconds * sound.RATE)
        for start in rng.integers(0, max(1, audio.size - size), times):
            out[start : start + size] = 0
        return out

    return drop


def click(factor: float, times: int = 1) -> Change:
    """Pulses of 2 ms, so many times as loud as the loudest sample; all is made quieter where that passes full scale."""

    def add(audio: Audio, rng: np.random.Generator) -> Audio:
        out, pulse = audio.copy(), np.hanning(round(0.002 * sound.RATE)).astype(np.float32)
        for start in rng.integers(0, audio.size - pulse.size, times):
            out[start : start + pulse.size] += factor * np.abs(audio).max() * pulse
        return np.asarray(out / max(1.0, float(np.abs(out).max())), np.float32)

    return add


def microphones(delay_s: float) -> Change:
    """Two channels, float32 [samples, 2]: the second microphone hears a clip later."""

    def add(audio: Audio, _: np.random.Generator) -> Audio:
        late = round(delay_s * sound.RATE)
        return np.stack([np.pad(audio, (0, late)), np.pad(audio, (late, 0))], axis=1)

    return add


AROUND = {
    f"{seconds} s of {what} {place}": quiet(*((seconds, 0) if place == "before" else (0, seconds)), level)
    for what, level in (("silence", None), ("room tone (-40 dB)", 40.0))
    for seconds in (5, 15, 30)
    for place in ("before", "after")
}
CHANGES: Mapping[str, Change] = {
    "mu-law at 8 kHz": sound.telephone,
    "noise at 20 dB": noise(20),
    "noise at 10 dB": noise(10),
    "20 dB louder": gain(20),
    "20 dB quieter": gain(-20),
    **AROUND,
    "a pause of 2 s inside": pause(2.0),
    "two microphones, 0.75 ms apart": microphones(0.75e-3),
    "3 % faster or slower": lambda audio, rng: augment.Speed(0.03)(audio, rng),
}
OF_HEARTS: Mapping[str, Change] = {  # as a loose cable or a lost packet of a wireless stethoscope makes them
    "a pause of 0.6 s inside": pause(0.6),
    "0.5 s lost": lost(0.5),
    "5 times 0.1 s lost": lost(0.1, 5),
    "a click": click(5.0),
    "5 clicks": click(5.0, 5),
}
MUSICAL = ("voice_gender", HEARTS, ENSEMBLE)  # music behind a scene makes another scene


def conditions(name: str, clips: Sequence[Clip], data: Path, folder: Path) -> dict[str, list[Clip]]:
    """The clips as they are ("plain") and under each change, as files in a folder."""
    made: dict[str, list[Clip]] = {}
    music = sound.backgrounds(data).music if name in MUSICAL else ()
    for clip in clips:
        audio = load_audio(clip.path, sound.RATE)
        rng = np.random.default_rng(0)
        files = {"plain": encoded(audio, "WAV"), "FLAC": encoded(audio, "FLAC")}
        files |= {kind: encoded(audio, kind) for kind in CODED}
        changes = {**CHANGES, **(OF_HEARTS if name == HEARTS else {})}
        changed = {title: change(audio, rng) for title, change in changes.items()}
        if music:
            changed["music at 10 dB"] = augment.Noise(music, 10.0, 10.0)(audio, rng)
        files |= {title: encoded(one, "WAV") for title, one in changed.items()}
        for title, content in files.items():
            path = folder / f"{clip.path.stem}-{len(made.setdefault(title, []))}-{abs(hash(title)) % 10**8}"
            path.write_bytes(content)
            made[title].append(replace(clip, path=path))
    return made


def answers(name: str, clips: Sequence[Clip]) -> Answers:
    """Of a model, or of the ensemble."""
    if name != ENSEMBLE:
        return answer(Predictor.bundled(name), clips)
    return ensemble([answer(Predictor.bundled(member), clips) for member in MEMBERS])


def measure(name: str, data: Path, most: int) -> dict[str, Any]:
    """Share of the right answers that each change turns."""
    clips = read_manifest(data / DATASETS[name], "val")
    clips = clips[:: max(1, len(clips) // most)]
    with tempfile.TemporaryDirectory() as place:
        made = conditions(name, clips, data, Path(place))
        found = {title: answers(name, changed) for title, changed in made.items()}
    plain = found.pop("plain")
    right = (plain.decided == plain.labels) & ~plain.refused
    turned = {
        title: float(((other.decided != plain.decided) | other.refused)[right].mean()) for title, other in found.items()
    }
    return {"clips": len(clips), "right": int(right.sum()), "turned": turned}


def keep(found: Mapping[str, Any]) -> None:
    """Writes figures beside those of other models, and into the cards."""
    results: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    results = dict(sorted({**results, **found}.items()))
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    tables.write_robustness(results)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures the named models, or all, and keeps the figures."""
    parser = argparse.ArgumentParser(prog="python -m training.robustness", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(MODELS)}; all when none is given")
    parser.add_argument("--data", type=Path, help="folder of the data sets (default: DATASETS_DIR)")
    parser.add_argument("--clips", type=int, default=120, help="at most about so many of each model (%(default)s)")
    options = parser.parse_args(arguments)
    for name in options.names or MODELS:
        found = measure(name, datasets_dir(options.data), options.clips)
        print(name, json.dumps(found), flush=True)
        keep({name: found})


if __name__ == "__main__":
    main()
