"""Networks that TensorFlow saved as a folder (SavedModel), in the place of a Keras file.

Such a folder is a program: it may name files to read and write. So OpenVINO, which only reads it, converts what answers
first, and knows no such operations; what TensorFlow would run while it loads the folder is refused.
"""

from __future__ import annotations

from pathlib import Path

from google.protobuf.message import DecodeError
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

from models.face_gender.backend import keras
from models.published.checkpoint import CheckpointError

GRAPH = "saved_model.pb"
VARIABLES = "variables"  # folder of the weights
ENDPOINT = "serving_default"  # what Keras and TensorFlow call the answer
RUN_AT_LOAD = {"asset", "resource"}  # kinds of objects: files, and tables with code that fills them
ACTIVATIONS = {"Softmax": "softmax", "Sigmoid": "sigmoid", "Add": "linear", "MatMul": "linear"}  # by OpenVINO's names


def files(folder: Path) -> list[Path]:
    """The files of a SavedModel that make its network."""
    return [folder / GRAPH, *sorted(path for path in (folder / VARIABLES).glob("*") if path.is_file())]


def last_activation(folder: Path) -> str:
    """Name of the activation that gives the answer: ``linear`` (there is none), ``softmax`` or ``sigmoid``.

    Raises:
        CheckpointError: It is another one, or OpenVINO cannot read the network.
    """
    import openvino as ov  # for an import only: the native engine answers without it
    from openvino.frontend import GeneralFailure, OpConversionFailure, OpValidationFailure

    try:
        (output,) = ov.convert_model(folder).outputs
    except (RuntimeError, ValueError, GeneralFailure, OpConversionFailure, OpValidationFailure) as error:
        raise CheckpointError(f"OpenVINO cannot read it as one network with one answer: {_line(error)}") from error
    kind = output.get_node().input_value(0).get_node().get_type_name()
    if kind not in ACTIVATIONS:
        raise CheckpointError(f"its last operation is {kind}; {', '.join(ACTIVATIONS)} are known")
    return ACTIVATIONS[kind]


def read(folder: Path) -> keras.Model:
    """Reads a SavedModel from elsewhere, as ``load`` does, once it is known to do nothing but compute.

    Raises:
        CheckpointError: It brings files or code that runs at load, or does not read one tensor and give one.
    """
    refuse_programs(folder)
    last_activation(folder)  # before TensorFlow runs any of it
    return load(folder)


def load(folder: Path) -> keras.Model:
    """Loads a SavedModel that was imported, as a Keras network that answers by its ``serving_default``.

    Raises:
        CheckpointError: It does not read one tensor and give one.
    """
    try:
        layer = keras.layers.TFSMLayer(str(folder), call_endpoint=ENDPOINT)
        (given,) = layer.call_endpoint_fn.structured_input_signature[1].values()
        inputs = keras.Input(given.shape[1:])
        (answer,) = layer(inputs).values()
    except (ValueError, TypeError, OSError, KeyError, RuntimeError) as error:
        raise CheckpointError(f"TensorFlow cannot load it: {_line(error)}") from error
    return keras.Model(inputs, answer, name="saved_model")


def refuse_programs(folder: Path) -> None:
    """Refuses what would run while TensorFlow loads the folder, before it is asked anything.

    Raises:
        CheckpointError: There is such code, or the file is none of TensorFlow 2's.
    """
    saved = SavedModel()
    try:
        saved.ParseFromString((folder / GRAPH).read_bytes())
    except (OSError, DecodeError) as error:
        raise CheckpointError(f"its {GRAPH} is not readable") from error
    kinds = {node.WhichOneof("kind") for graph in saved.meta_graphs for node in graph.object_graph_def.nodes}
    if not kinds:
        raise CheckpointError("it was saved by TensorFlow 1, which keeps no objects")
    if kinds & RUN_AT_LOAD:
        raise CheckpointError("it brings files or tables with code of their own, which is never run")


def _line(error: Exception) -> str:
    """What went wrong, in one line: OpenVINO names operations that it does not know below its first ones."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return next((line for line in lines if "No conversion rule" in line), lines[0])
