"""From a folder or file with a published checkpoint to an entry of the model store."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models import store
from models.published.checkpoint import PIXELS, Checkpoint, CheckpointError, LogMel, Picture, Waveform
from models.spec import AudioInput, ImageInput, ModelSpec
from training.published import labels
from training.published.compiling import save_compiled

CONFIG = "config.json"
EXTRACTOR = "preprocessor_config.json"
PICKLED = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")
AST = "audio-spectrogram-transformer"
# How the publishers cut clips (samples at 16 kHz) and fill shorter ones: the voice gender model was trained on exactly
# 5 s with zeros behind them; for AI voices 64,600 samples, with the clip repeated, are the practice of the field.
CLIPS: dict[str, tuple[int, Any]] = {"voice_gender": (80_000, "zeros"), "deepfake_encoder": (64_600, "repeat")}


@dataclass(frozen=True, slots=True)
class Source:
    """Files of a checkpoint on this machine.

    Attributes:
        folder: Where they are.
        origin: Hub id, or name of the folder or file.
        revision: Commit at the hub; empty for a folder or file.
        licence: As its publisher names it, or ``unknown``.
    """

    folder: Path
    origin: str
    revision: str = ""
    licence: str = "unknown"


@dataclass(frozen=True, slots=True)
class FaceOptions:
    """What a Keras file does not say.

    Attributes:
        classes: Label names in the order of the network's outputs.
        pixels: One of ``models.published.checkpoint.PIXELS``.
    """

    classes: tuple[str, ...]
    pixels: str


def import_checkpoint(spec: ModelSpec, source: Source, faces: FaceOptions | None = None) -> str:
    """Puts a checkpoint into the model store, in the place of a model, for ``PROFILE=published``.

    Args:
        spec: The model whose place it takes.
        source: Its files; they stay as they are.
        faces: For a Keras network only.

    Returns:
        The tag of the entry.

    Raises:
        CheckpointError: It cannot take that place.
        ValueError: Its compiled form disagrees with the native network.
    """
    files, checkpoint = describe_checkpoint(spec, source, faces)
    with tempfile.TemporaryDirectory(prefix="checkpoint-") as name:
        work = Path(name) / "weights"
        work.mkdir()
        for file in files:
            place = work / file.relative_to(source.folder)
            place.parent.mkdir(exist_ok=True)
            place.symlink_to(file.resolve())
        save_compiled(spec, work, checkpoint)
        return store.save(
            checkpoint.describe(spec),
            work,
            "published",
            origin=checkpoint.origin,
            revision=checkpoint.revision,
            licence=checkpoint.licence,
            labels=dict(checkpoint.labels),
            files={file.relative_to(source.folder).as_posix(): store.file_digest(file) for file in files},
        )


def describe_checkpoint(
    spec: ModelSpec, source: Source, faces: FaceOptions | None = None
) -> tuple[list[Path], Checkpoint]:
    """The files that are imported, and what they are.

    Raises:
        CheckpointError: They cannot take the model's place.
    """
    if isinstance(spec.input, ImageInput):
        return _keras(spec, source, faces)
    return _transformers(spec, source)


def _transformers(spec: ModelSpec, source: Source) -> tuple[list[Path], Checkpoint]:
    config, extractor = (_read(source.folder / name) for name in (CONFIG, EXTRACTOR))
    for settings in (config, extractor):
        if "auto_map" in settings:
            raise CheckpointError("it needs code of its own, which is never run")
    files = [source.folder / CONFIG, source.folder / EXTRACTOR, *weight_files(source.folder)]
    if pooling := [config[key] for key in ("pooling_mode", "pooling") if config.get(key, "mean") != "mean"]:
        raise CheckpointError(f"it pools by {pooling[0]!r}, which transformers' own classifiers do not")
    names = [config.get("id2label", {}).get(str(place)) for place in range(len(config.get("id2label", {})))]
    if not names or None in names:
        raise CheckpointError("its configuration does not name its labels (id2label)")
    kind = (config.get("architectures") or ["unknown"])[0]
    size = f"{config.get('num_hidden_layers')} layers of width {config.get('hidden_size')}"
    independent = config.get("problem_type") == "multi_label_classification" or labels.are_independent(names)
    return files, Checkpoint(
        origin=source.origin,
        revision=source.revision,
        licence=source.licence,
        architecture=f"{kind}, {size}",
        library="transformers",
        fed=_fed(spec, config, extractor),
        labels=labels.mapped(spec, names),
        outputs="independent" if independent else "logits",
    )


def _fed(spec: ModelSpec, config: dict[str, Any], extractor: dict[str, Any]) -> Waveform | LogMel:
    """The network's input, by the publisher's feature extractor."""
    assert isinstance(spec.input, AudioInput)  # noqa: S101 - the caller looked
    rate = extractor.get("sampling_rate", 16_000)
    if rate != spec.input.sample_rate:
        raise CheckpointError(f"it takes {rate} Hz, the {spec.title} model {spec.input.sample_rate} Hz")
    kind = extractor.get("feature_extractor_type")
    scale = extractor.get("do_normalize", True)
    if config.get("model_type") == AST and spec.name == "audio_scene":
        mean, std = (extractor["mean"], extractor["std"]) if scale else (0.0, 0.5)  # (x - mean) / (2 std)
        bins, frames = extractor["num_mel_bins"], extractor["max_length"]
        return LogMel(sample_rate=rate, mel_bins=bins, max_length=frames, mean=mean, std=std)
    if kind in (None, "Wav2Vec2FeatureExtractor") and spec.name in CLIPS:
        samples, fill = CLIPS[spec.name]
        return Waveform(sample_rate=rate, samples=samples, fill=fill, normalise=scale)
    model_type = config.get("model_type", "unknown")
    raise CheckpointError(f"a {model_type} network fed by {kind} cannot take the place of the {spec.title} model")


def _keras(spec: ModelSpec, source: Source, options: FaceOptions | None) -> tuple[list[Path], Checkpoint]:
    from models.published import faces

    if options is None:
        raise CheckpointError(
            "a Keras file says neither its classes nor its pixel values: give --classes (such as female,male) and "
            f"--pixels ({', '.join(PIXELS)})"
        )
    path = faces.network_path(source.folder, source.origin)
    model = faces.read(path)
    outputs = max(2, int(model.outputs[0].shape[1]))  # one number is the probability of the second class
    if outputs != len(options.classes):
        raise CheckpointError(f"it answers {outputs} classes, --classes names {len(options.classes)}")
    return faces.network_files(path), Checkpoint(
        origin=source.origin,
        revision=source.revision,
        licence=source.licence,
        architecture=f"{model.name}, {model.count_params() / 1e6:.1f} million parameters",
        library="keras 3 (tensorflow)",
        fed=Picture(size=model.inputs[0].shape[1]),
        labels=labels.mapped(spec, options.classes),
        outputs="logits" if faces.last_activation(model) == "linear" else "probabilities",
        pixels=options.pixels,
    )


def weight_files(folder: Path) -> list[Path]:
    """The safetensors of a folder: one file, or several and their index.

    Raises:
        CheckpointError: There are none.
    """
    files = sorted(folder.glob("*.safetensors"))
    if files:
        return [*files, *folder.glob("*.safetensors.index.json")]
    if any(path.suffix in PICKLED for path in folder.iterdir()):
        raise CheckpointError("its weights are pickled, and unpickling runs code: only safetensors are imported")
    raise CheckpointError("it has no weights in safetensors")


def _read(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise CheckpointError(f"it has no readable {path.name}") from error
    if not isinstance(data, dict):
        raise CheckpointError(f"its {path.name} is not a JSON object")
    return data
