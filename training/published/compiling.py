"""The compiled form of an imported checkpoint, checked on real clips and pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from torch import nn

from models.calibration import Calibration
from models.processing import Processor
from models.published.checkpoint import Checkpoint
from models.published.network import load_native
from models.spec import ModelSpec
from training import examples, export

INPUT = "input_values"
CHECKED = 6  # clips that the compiled form is checked on, in batches of two; a large network takes seconds for each
AT_ONCE = 2


def save_compiled(spec: ModelSpec, weights: Path, checkpoint: Checkpoint) -> float:
    """Writes the compiled form into a folder with the native files, checked on real clips.

    Args:
        spec: The model whose place the checkpoint takes.
        weights: The folder; the calibration and ``checkpoint.json`` are written too.
        checkpoint: What it is.

    Returns:
        The largest difference of a probability, compiled against native.

    Raises:
        CheckpointError: The network cannot be loaded.
        ValueError: The two forms disagree.
    """
    spec = checkpoint.describe(spec)
    Calibration.identity(len(spec.classes)).save(weights)
    checkpoint.save(weights)
    network = load_native(weights, checkpoint, spec.classes, "eager")
    batches = real_batches(spec, checkpoint.processor())
    if not isinstance(network, nn.Module):
        from training.face_export import answers, convert  # it loads TensorFlow, which the others do without

        return export.save(convert(network), weights, lambda batch: answers(network, batch), batches)
    return export.save_torch(network, weights, {INPUT: [-1, *batches[0][INPUT].shape[1:]]}, batches)


def real_batches(spec: ModelSpec, processor: Processor) -> list[dict[str, NDArray[Any]]]:
    """Real clips or pictures, as they are collated while serving."""
    items = examples.items(spec)
    prepared = [processor.prepare(item) for item in items[:: -(-len(items) // CHECKED)]]
    features = [item.features for item in prepared if not item.verdict]
    return [processor.collate(features[at : at + AT_ONCE]) for at in range(0, len(features), AT_ONCE)]
