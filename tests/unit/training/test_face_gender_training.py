"""The recipe of the face model: pictures, batches, a training of a few steps, and what it leaves behind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest

from media.faces import largest_face
from models.calibration import Calibration
from models.face_gender import network
from models.face_gender.backend import keras, layers
from models.face_gender.processing import PROCESSOR
from models.store import check
from training import face_export, face_start
from training.data.datasets import Clip
from training.face_augment import augment
from training.face_gender import (
    FAIRFACE,
    TRAIN_SIDE,
    UTKFACE,
    Batches,
    Faces,
    Settings,
    beginning,
    calibrates,
    cut,
    finish,
    fit,
    logits,
    source,
)
from training.face_gender import trained as train_network
from training.face_start import BLOCKS

SIZE = 64
FACES = Path(__file__).parents[2] / "data" / "faces"


def pictures(count: int = 24) -> tuple[np.ndarray[tuple[int, ...], np.dtype[np.uint8]], list[Clip]]:
    """Pictures without faces, light for women and dark for men, and what is known about them."""
    rng = np.random.default_rng(1)
    crops = rng.integers(0, 120, (count, TRAIN_SIDE, TRAIN_SIDE, 3), dtype=np.uint8)
    crops[::2] += 120
    clips = []
    for place in range(count):
        origin = UTKFACE if place % 4 < 2 else FAIRFACE
        known = {"age": str([5, 25, 45, 80][place // 2 % 4]), "ethnicity": "White", "source": f"{origin}/{place}"}
        clips.append(Clip(Path(f"{place}.jpg"), "female" if place % 2 == 0 else "male", f"g{place}", known))
    return crops, clips


def test_keras_runs_on_tensorflow() -> None:
    assert keras.backend.backend() == "tensorflow"


def test_augmentation_gives_bytes_of_the_size_and_repeats_by_seed() -> None:
    crop = pictures()[0][0]
    for seed in range(60):
        one, two = (augment(crop, SIZE, np.random.default_rng(seed)) for _ in range(2))
        assert one.shape == (SIZE, SIZE, 3)
        assert one.dtype == np.uint8
        np.testing.assert_array_equal(one, two)


def test_batches_are_distributions_and_repeat_by_epoch() -> None:
    crops, clips = pictures()
    first, again = (Batches(crops, clips, Settings(batch=8, mixup=1.0, seed=4)) for _ in range(2))
    assert len(first) == 3
    before = [first[step] for step in range(3)]
    for (shown, targets), (same, _) in zip(before, (again[step] for step in range(3)), strict=True):
        assert shown.shape == (8, PROCESSOR.size, PROCESSOR.size, 3)
        np.testing.assert_array_equal(shown, same)
        np.testing.assert_allclose(targets.sum(1), 1, rtol=1e-6)
    first.on_epoch_end()
    assert not np.array_equal(first[0][0], before[0][0])


def test_as_many_women_as_men_are_drawn() -> None:
    crops, clips = pictures()
    few = [place for place in range(len(clips)) if clips[place].label == "female" or place < 6]
    batches = Batches(crops[few], [clips[place] for place in few], Settings(batch=5))
    drawn = batches.labels[batches.order.ravel()]
    assert (
        abs(int(drawn.sum()) - len(drawn) / 2) < 3
    )  # 3 of 15 pictures show men, so 3 of 15 would be drawn as they come


@pytest.fixture(scope="module", autouse=True)
def one_block_a_level() -> Iterator[None]:
    """TensorFlow takes a minute to trace all blocks while training, and they are alike."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(network, "LEVELS", [(name, width, 1) for name, width, _ in network.LEVELS])
        yield


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file as dlib writes it, with small random weights."""
    path = tmp_path_factory.mktemp("start") / "dlib.dat"
    rng, parts, before = np.random.default_rng(3), [b"\x01\x02"], 3
    widths = {level: width for level, width, _ in network.LEVELS}
    layers_of = [32, *(widths[level] for level, count in BLOCKS.items() for _ in range(2 * count))]
    for place, width in enumerate(layers_of):
        side = 3 if place else 7
        kernel = rng.normal(0, np.sqrt(1 / (before * side * side)), width * before * side * side)
        parts += [b"\x05con_4", tensor(np.append(kernel, np.zeros(width)))]
        parts += [b"\x07affine_", tensor(np.append(np.ones(width), np.full(width, 0.01)))]
        before = width
    path.write_bytes(b"".join(parts))
    return path


def tensor(values: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> bytes:
    """Version 2 and four sizes, each behind its length, then the values."""
    sizes = b"".join(bytes([4]) + size.to_bytes(4, "little") for size in (values.size, 1, 1, 1))
    return b"\x01\x02" + sizes + values.astype("<f4").tobytes()


def test_the_network_begins_as_the_file_says_with_its_scaling_folded_in(start: Path) -> None:
    model = network.residual(PROCESSOR.size)
    face_start.begin(model, start)
    kernels = face_start.read(start.read_bytes())
    assert len(kernels) == 29
    for name in ("stem", "level2_block1_conv1", "level4_block1_conv2"):
        kernel, bias = model.get_layer(name).get_weights()
        np.testing.assert_array_equal(kernel, kernels[name][0])
        np.testing.assert_allclose(bias, 0.01)
    np.testing.assert_array_equal(
        model.get_layer("level5_block1_conv2").kernel, kernels["level5_block1_conv2"][0][1:2, 1:2]
    )
    shown = np.random.default_rng(0).random((3, PROCESSOR.size, PROCESSOR.size, 3), np.float32) * 255
    np.testing.assert_array_equal(model(shown, training=False), np.zeros((3, 2)))


def test_a_file_of_another_network_is_refused() -> None:
    with pytest.raises(ValueError, match="1 layers with values"):
        face_start.read(b"\x05con_4" + tensor(np.zeros(4)))


@pytest.fixture(scope="module")
def trained(start: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A weights folder after a training of a few steps."""
    crops, clips = pictures()
    model = beginning(start)
    frozen, moving = (model.get_layer(name).kernel.numpy().copy() for name in ("stem", "level4_block1_conv1"))
    fit(model, Batches(crops, clips, Settings(epochs=4, batch=8, average=0.5, rate=2e-3)))
    np.testing.assert_array_equal(model.get_layer("stem").kernel.numpy(), frozen)
    assert not np.array_equal(model.get_layer("level4_block1_conv1").kernel.numpy(), moving)
    folder = tmp_path_factory.mktemp("weights")
    finish(face_export.rounded(model), Calibration.identity(2), list(crops), folder)
    return folder


def test_a_training_leaves_weights_that_can_be_saved(trained: Path) -> None:
    assert check(trained)["max_probability_difference"] <= 0.01
    model = network.load_native(trained)
    assert logits(model, pictures()[0]).shape == (24, 2)
    kernel = model.get_layer("level4_block1_conv1").kernel.numpy()
    np.testing.assert_array_equal(kernel, kernel.astype(np.float16).astype(np.float32))


def test_answers_do_not_depend_on_the_parts(trained: Path) -> None:
    model, crops = network.load_native(trained), pictures()[0]
    np.testing.assert_allclose(logits(model, crops)[:3], logits(model, crops[:3]), atol=1e-4)


def test_a_face_is_cut_out_as_it_is_served_if_it_is_in_the_middle(tmp_path: Path) -> None:
    """Elsewhere it is not the one that was labelled."""
    portrait = cv2.imread(str(FACES / "male_1.jpg"))
    assert portrait is not None
    x, y, width, height = (round(value) for value in largest_face(np.ascontiguousarray(portrait[..., ::-1])).box)
    middle, away = tmp_path / "middle.png", tmp_path / "away.png"
    cv2.imwrite(
        str(middle), portrait[max(0, y - height // 4) : y + height + height // 4, x - width // 4 : x + 5 * width // 4]
    )
    cv2.imwrite(str(away), cv2.copyMakeBorder(cv2.imread(str(middle)), 0, 0, 0, 3 * width, cv2.BORDER_REPLICATE))
    crop = cut(middle)
    assert crop is not None
    assert crop.shape == (TRAIN_SIDE, TRAIN_SIDE, 3)
    assert cut(away) is None
    assert cut(FACES / "no_face.jpg") is None


def test_no_face_is_tested_by_a_network_that_met_it_and_none_of_utkface_is_trained_on() -> None:
    _, clips = pictures()
    recipe = Faces()
    further = [Clip(recipe.further / f"{at}.jpg", "male", f"ff{at}", clips[2].fields) for at in range(5)]
    every = [*further, *clips]
    schemes = recipe.schemes(every)
    for (split,) in schemes.values():
        assert split.train.tolist() == list(range(5))
        assert not set(split.train.tolist()) & set(split.test.tolist())
    (alone,) = schemes[f"{UTKFACE} left out"]
    assert {source(every[place]) for place in alone.test} == {UTKFACE}
    assert len(schemes["people left out"][0].test) == len(clips)


def test_one_network_answers_for_all_schemes_and_its_calibration_is_fitted_on_what_it_did_not_see(
    start: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    crops, clips = pictures()
    recipe = Faces(Settings(epochs=1, batch=4), start=start)
    recipe.cut_out = {clip.path: crop for clip, crop in zip(clips, crops, strict=True)}
    seen: list[list[Clip]] = []

    def beginnings(crops: object, clips: list[Clip], settings: Settings, start: Path) -> keras.Model:
        seen.append(clips)
        return beginning(start)

    monkeypatch.setattr("training.face_gender.trained", beginnings)
    first, again = (recipe.fit(clips)(clips[:3]) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert len(seen) == 1
    assert seen[0] == [clip for clip in clips if not calibrates(clip)]
    assert len(seen[0]) < len(clips)


def test_a_training_in_few_bits_leaves_a_network_of_32(start: Path) -> None:
    crops, clips = pictures()
    model = train_network(crops, clips, Settings(epochs=1, batch=8), start)
    assert {layer.dtype_policy.compute_dtype for layer in model.get_layer("residual").layers} == {"float32"}
    assert keras.config.dtype_policy().name == "float32"
    assert np.ptp(logits(model, crops)[:, 0]) > 0


def test_a_face_and_its_mirror_image_get_one_answer(trained: Path, tmp_path: Path) -> None:
    """As Keras keeps it too: the flip is a part of the file."""
    plain, crops = network.load_native(trained), pictures()[0]
    face_export.save(network.mirrored(plain), tmp_path)
    model = network.load_native(tmp_path)
    answered, of_mirror = (logits(model, list(shown)) for shown in (crops, crops[:, :, ::-1]))
    np.testing.assert_allclose(answered, of_mirror, atol=1e-4)
    both = np.stack([logits(plain, list(shown)) for shown in (crops, crops[:, :, ::-1])])
    assert np.abs(both[0] - both[1]).max() > 1e-3
    np.testing.assert_allclose(answered, both.mean(axis=0), atol=1e-4)


def test_vgg16_at_full_width_has_the_published_convolutions() -> None:
    model = network.vgg16(SIZE, network.FULL_WIDTHS, hidden=8)
    kernels = [layer.kernel for layer in model.layers if isinstance(layer, layers.Conv2D)]
    assert len(kernels) == 13
    assert sum(int(np.prod(kernel.shape)) for kernel in kernels) == 14_710_464  # 14,714,688 with the biases


@pytest.fixture(scope="module")
def imagenet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small random weights in the layout of ``vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5``."""
    rng = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("imagenet") / "vgg16_notop.h5"
    channels, names = 3, ["input_1"]
    with h5py.File(path, "w") as file:
        file.create_group("input_1").attrs["weight_names"] = []
        for block, (count, width) in enumerate(zip(network.CONVOLUTIONS, network.FULL_WIDTHS, strict=True), start=1):
            for place in range(1, count + 1):
                name = f"block{block}_conv{place}"
                group, weights = file.create_group(name), [f"{name}_W_1:0", f"{name}_b_1:0"]
                group.attrs["weight_names"] = [weight.encode() for weight in weights]
                deviation = np.sqrt(2 / (9 * channels))
                group[weights[0]] = rng.normal(0, deviation, (3, 3, channels, width)).astype(np.float32)
                group[weights[1]] = rng.normal(0, 0.1, width).astype(np.float32)
                channels, names = width, [*names, name]
            names.append(f"block{block}_pool")
            file.create_group(names[-1]).attrs["weight_names"] = []
        file.attrs["layer_names"] = [name.encode() for name in names]
    return path


def test_vgg16_from_imagenet_reads_pictures_as_its_publisher_did(imagenet: Path) -> None:
    """Its last map is that of ``keras.applications`` with the pre-processing named there."""
    model = network.vgg16(SIZE, hidden=8, imagenet=imagenet)
    frozen = {layer.name for layer in model.layers if "_conv" in layer.name and not layer.trainable and layer.weights}
    assert frozen >= {"block1_conv1", "block1_conv2", "block2_conv1", "block2_conv2"}
    assert not [name for name in frozen if name.startswith(("block3", "block4", "block5"))]
    ours = keras.Model(model.input, model.get_layer("block5_pool").output)
    published = keras.applications.VGG16(include_top=False, weights=str(imagenet), input_shape=(SIZE, SIZE, 3))
    shown = np.random.default_rng(0).random((2, SIZE, SIZE, 3), np.float32) * 255
    expected = published(keras.applications.vgg16.preprocess_input(shown.copy()), training=False)
    np.testing.assert_allclose(ours(shown, training=False), expected, rtol=1e-3, atol=1e-2)
