"""Networks that Keras or TensorFlow saved, in the place of the face model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.fetched import FACES, predictor_of, refusal
from training import examples, fetch


def test_a_keras_file_with_code_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from models.face_gender.backend import keras, layers

    model = keras.Sequential([keras.Input((8, 8, 3)), layers.Lambda(lambda x: x), layers.Flatten(), layers.Dense(2)])
    model.save(tmp_path / "model.keras")
    assert "Keras cannot load it safely" in refusal(capsys, "face_gender", "--from", str(tmp_path), *FACES)


def save_keras(model: Any, path: Path) -> None:
    """Saves a network as its name says: ``.keras``, ``.h5``, or without either as TensorFlow's SavedModel."""
    if path.suffix:
        model.save(path)
    else:
        model.export(path, format="tf_saved_model", verbose=False)


@pytest.mark.parametrize("name", ["model.keras", "model.h5", "model"])
def test_a_vgg16_answers_as_tensorflow_does(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Built, pre-processed and saved as ``keras.applications`` has it; asked natively by Keras, and as it is served."""
    from models.face_gender.backend import keras, layers

    keras.utils.set_random_seed(1)
    base = keras.applications.VGG16(include_top=False, weights=None, input_shape=(32, 32, 3))
    values = layers.Dense(16, activation="relu")(layers.Flatten()(base.output))
    model = keras.Model(base.input, layers.Dense(2, activation="softmax")(values), name="vgg16")
    save_keras(model, tmp_path / name)
    assert keras.backend.backend() == "tensorflow"
    assert fetch.main(["face_gender", "--from", str(tmp_path / name), *FACES]) == 0
    predictor = predictor_of("face_gender", tag := capsys.readouterr().out.strip())
    crops = examples.items(predictor.spec)
    pictures = keras.applications.vgg16.preprocess_input(np.stack(crops).astype(np.float32))
    expected = np.asarray(model(pictures, training=False))
    served = [outcome.probabilities for outcome in predictor.answer(crops)]
    np.testing.assert_allclose(served, expected, atol=0.01)
    native = predictor_of("face_gender", tag, engine="native", device="cpu").answer(crops)
    np.testing.assert_allclose([outcome.probabilities for outcome in native], expected, atol=0.01)
    assert np.ptp(expected[:, 0]) > 0.001, "all pictures are one to this network"


@pytest.mark.parametrize("name", ["model.keras", "model"])
@pytest.mark.parametrize(("activation", "outputs"), [("sigmoid", 1), (None, 1), (None, 2)])
def test_every_kind_of_answer_is_read_as_keras_means_it(
    activation: str | None, outputs: int, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from models.face_gender.backend import keras, layers

    keras.utils.set_random_seed(2)
    model = keras.Sequential(
        [keras.Input((16, 16, 3)), layers.Flatten(), layers.Dense(outputs, activation=activation, name="answer")]
    )
    save_keras(model, tmp_path / name)
    options = ["--classes", "male,female", "--pixels=-1..1"]
    assert fetch.main(["face_gender", "--from", str(tmp_path / name), *options]) == 0
    predictor = predictor_of("face_gender", capsys.readouterr().out.strip())
    crops = examples.items(predictor.spec)
    raw = np.asarray(model(np.stack(crops).astype(np.float32) / 127.5 - 1, training=False), np.float64)
    if outputs == 2:
        female = 1 / (1 + np.exp(raw[:, 0] - raw[:, 1]))
    else:
        female = raw[:, 0] if activation else 1 / (1 + np.exp(-raw[:, 0]))
    served = [outcome.probabilities[0] for outcome in predictor.answer(crops)]
    np.testing.assert_allclose(served, female, atol=0.01)


def test_a_saved_model_with_a_table_or_a_file_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """TensorFlow would fill the table while it loads the folder, and read or write files when it is asked."""
    import tensorflow as tf

    pictures = tf.TensorSpec([None, 8, 8, 3], tf.float32)
    (tmp_path / "words.txt").write_text("female")

    class Table(tf.Module):  # type: ignore[misc]  # TensorFlow has no types
        def __init__(self) -> None:
            super().__init__()
            line, number = tf.lookup.TextFileIndex.WHOLE_LINE, tf.lookup.TextFileIndex.LINE_NUMBER
            words = tf.lookup.TextFileInitializer(str(tmp_path / "words.txt"), tf.string, line, tf.int64, number)
            self.table = tf.lookup.StaticHashTable(words, 0)

        @tf.function(input_signature=[pictures])  # type: ignore[untyped-decorator]  # TensorFlow has no types
        def answer(self, values: Any) -> Any:
            return tf.reduce_mean(values, [1, 2])[:, :2]

    class Writer(tf.Module):  # type: ignore[misc]  # as above
        @tf.function(input_signature=[pictures])  # type: ignore[untyped-decorator]  # TensorFlow has no types
        def answer(self, values: Any) -> Any:
            tf.io.write_file(str(tmp_path / "written"), "by the network")
            return tf.matmul(tf.reduce_mean(values, [1, 2]), tf.ones([3, 2]))

    for module, words in ((Table(), "files or tables"), (Writer(), "WriteFile")):
        tf.saved_model.save(module, str(tmp_path / words), signatures=module.answer)
        assert words in refusal(capsys, "face_gender", "--from", str(tmp_path / words), *FACES)
    assert not (tmp_path / "written").exists()


def test_a_file_is_taken_beside_others_and_a_folder_of_several_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from models.face_gender.backend import keras, layers

    model = keras.Sequential([keras.Input((8, 8, 3)), layers.Flatten(), layers.Dense(2)])
    for name in ("model.keras", "model.h5"):
        model.save(tmp_path / name)
    assert "there are 2" in refusal(capsys, "face_gender", "--from", str(tmp_path), *FACES)
    assert fetch.main(["face_gender", "--from", str(tmp_path / "model.h5"), *FACES]) == 0
