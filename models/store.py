"""Entries of the BentoML model store: how a model's files get in, and how a runner finds them."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bentoml
from bentoml.exceptions import NotFound

from models import encoder
from models.calibration import Calibration
from models.completion import complete
from models.encoder import HEAD
from models.spec import ModelSpec
from models.values import IR_MODEL

RECORD = "export.json"
MADE = "made"  # in the record: files that an entry has and git does not, with their digests
FILES = "files.json"  # SHA-256 of every other file of an entry of the store
MODEL_FILE = "model.yaml"  # which BentoML writes
DIFFERENCE = "max_probability_difference"
BF16_DIFFERENCE = "bf16_probability_difference"
MAX_DIFFERENCE = 0.01  # largest tolerated difference of a probability, compiled against native


class WeightsError(RuntimeError):
    """The files of a weights folder are not what their record says."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One saved model, opened for serving.

    Attributes:
        tag: Name and version in the store.
        path: Folder of the files.
        calibration: From logits to probabilities.
        bf16_agrees: Whether the network was measured to give the same answers in bfloat16.
    """

    tag: str
    path: Path
    calibration: Calibration
    bf16_agrees: bool = False

    @classmethod
    def read(cls, tag: str, path: Path) -> Entry:
        """Opens a folder as an export or an import leaves it.

        Args:
            tag: What the entry is called in answers and logs.
            path: The folder.
        """
        record = json.loads((path / RECORD).read_text())
        agrees = record.get(BF16_DIFFERENCE, 1.0) <= MAX_DIFFERENCE
        return cls(tag, path, Calibration.load(path), agrees)

    @classmethod
    def open(cls, model: bentoml.Model) -> Entry:
        """Opens an entry of the store.

        Raises:
            WeightsError: Its files are not those that were saved.
        """
        verify(str(model.tag), Path(model.path))
        return cls.read(str(model.tag), Path(model.path))

    @property
    def compiled(self) -> Path:
        """The compiled form, for the CPU engine."""
        return self.path / IR_MODEL


def store_name(spec: ModelSpec, profile: str) -> str:
    """Name of a model's entries for a profile; ``compact`` is the plain name."""
    return spec.name if profile == "compact" else f"{spec.name}-{profile}"


def tag_to_serve(spec: ModelSpec, profile: str) -> str:
    """The entry that answers for a model: that of the profile, or the compact one where it has none.

    Returns:
        A tag ending in ``:latest``.
    """
    name = store_name(spec, profile)
    try:
        bentoml.models.get(f"{name}:latest")
    except NotFound:
        name = spec.name
    return f"{name}:latest"


def recorded_revision(spec: ModelSpec, origin: str) -> str | None:
    """The commit of the published checkpoint that was imported last, where it is from this hub id; None otherwise."""
    try:
        metadata = bentoml.models.get(f"{store_name(spec, 'published')}:latest").info.metadata
    except NotFound:
        return None
    return str(metadata.get("revision") or "") or None if metadata.get("origin") == origin else None


def check(weights: Path) -> dict[str, Any]:
    """Compares a weights folder with its record.

    Returns:
        The record.

    Raises:
        WeightsError: A file is missing or differs from the one that was checked when it was exported, or the compiled
            form was not found to agree with the native network.
    """
    try:
        record: dict[str, Any] = json.loads((weights / RECORD).read_text())
        _compare(weights, weights.parent.name, record["sha256"])
        if (weights / HEAD).exists():  # the other parts are the shared encoder's
            shared = json.loads((encoder.WEIGHTS / RECORD).read_text())["sha256"]
            _compare(encoder.WEIGHTS, "encoder", shared)
            record["sha256"] |= {f"encoder/{name}": expected for name, expected in shared.items()}
        if not record[DIFFERENCE] <= MAX_DIFFERENCE:
            raise WeightsError(
                f"{weights.parent.name}: compiled and native probabilities differ by {record[DIFFERENCE]}"
            )
    except (OSError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise WeightsError(f"{weights.parent.name}: weights are missing or have no readable record") from error
    return record


def _compare(folder: Path, title: str, expected: Mapping[str, str]) -> None:
    for name, digest in expected.items():
        if file_digest(folder / name) != digest:
            raise WeightsError(f"{title}: {name} is not the file that was exported")


def file_digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file of an entry but the two that are written afterwards, by its path in the folder.

    Two files at a time: hashing does not hold the interpreter's lock, and large entries consist of two large files.
    """
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    names = [path.relative_to(folder).as_posix() for path in files]
    with ThreadPoolExecutor(2) as threads:
        digests = dict(zip(names, threads.map(file_digest, files), strict=True))
    return {name: digest for name, digest in digests.items() if name not in (FILES, MODEL_FILE)}


def file_digest(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def verify(tag: str, folder: Path) -> None:
    """Compares the files of an entry with what was recorded when it was saved.

    Raises:
        WeightsError: One was changed, is missing or was added; the message is one line.
    """
    try:
        recorded = json.loads((folder / FILES).read_text())
        found = file_digests(folder)
        wrong = sorted(name for name in recorded.keys() | found if recorded.get(name) != found.get(name))
    except (OSError, ValueError, AttributeError) as error:
        raise WeightsError(f"{tag} has no readable record of its files; save it again") from error
    if wrong:
        raise WeightsError(f"{tag} is damaged: not as it was saved: {', '.join(wrong)}; save it again")


def save(spec: ModelSpec, weights: Path, profile: str = "compact", **origin: Any) -> str:
    """Puts a weights folder into the model store, unless the same files are there already.

    Args:
        spec: The model.
        weights: Folder with the native files, the compiled form, ``calibration.json`` and ``export.json``.
        profile: ``compact`` or ``published``.
        **origin: Further metadata (where it is from, revision, licence, labels).

    Returns:
        The tag of the entry.

    Raises:
        WeightsError: The files are not those that were checked when they were exported.
    """
    record = check(weights)
    digest = hashlib.sha256(json.dumps(record["sha256"], sort_keys=True).encode()).hexdigest()
    tag = f"{store_name(spec, profile)}:{digest[:16]}"
    if (known := _whole(tag)) is not None:
        # What was saved last is served, also when it was there before: BentoML moves its mark for new entries only.
        (Path(known.path).parent / "latest").write_text(known.tag.version or "")
        return str(known.tag)
    metadata = {
        "classes": list(spec.classes),
        "architecture": spec.architecture,
        **{name: record[name] for name in (DIFFERENCE, BF16_DIFFERENCE) if name in record},
        "sha256": digest,
        **origin,
    }
    labels = {"profile": profile, "runner": spec.runner}
    with bentoml.models.create(tag, labels=labels, metadata=metadata) as model:
        shutil.copytree(weights, model.path, dirs_exist_ok=True)
        complete(Path(model.path))
        _compare(Path(model.path), spec.name, record.get(MADE, {}))
        (Path(model.path) / FILES).write_text(json.dumps(file_digests(Path(model.path)), indent=1) + "\n")
    return tag


def _whole(tag: str) -> bentoml.Model | None:
    """The entry of a tag; one that is damaged is deleted, so that it can be saved again."""
    try:
        model = bentoml.models.get(tag)
    except NotFound:
        return None
    try:
        verify(tag, Path(model.path))
    except WeightsError:
        bentoml.models.delete(tag)
        return None
    return model
