"""Training of the face model: Keras networks, their torch twins, augmentation, figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch

from models.calibration import Calibration
from models.face_gender import network, train
from models.face_gender.augment import augment
from models.face_gender.average import average
from models.face_gender.backend import keras, layers
from models.face_gender.batches import FaceBatches
from models.face_gender.compare import measure, table
from models.face_gender.data import FaceSet
from models.face_gender.figures import figures
from models.face_gender.processing import PROCESSOR
from models.face_gender.train import predict, rounded
from models.face_gender.twin import Twin, copy_weights
from training.fitting.history import History

SIZE = 64


def faces(count: int = 24, side: int = 72) -> FaceSet:
    """Pictures without faces, for shapes and values."""
    rng = np.random.default_rng(1)
    crops = rng.integers(0, 256, (count, side, side, 3), dtype=np.uint8)
    ethnicities = np.array(["White", "Black"] * (count // 2))
    ages = np.tile([5, 25, 45, 80], count // 4)
    labels = np.arange(count) % 2
    return FaceSet(crops, labels.astype(np.int64), ages, ethnicities, (Path("x.jpg"),) * count)


def answers(model: keras.Model, pictures: torch.Tensor) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    with torch.inference_mode():
        return np.asarray(model(pictures, training=False).cpu().numpy())


@pytest.mark.parametrize("name", ["vgg16", "mobilenet_v2"])
def test_a_twin_is_the_same_function_and_goes_back(name: str) -> None:
    model = network.vgg16(SIZE) if name == "vgg16" else network.mobilenet_v2(SIZE, alpha=0.35)
    pictures = torch.rand(3, SIZE, SIZE, 3) * 255
    twin = Twin(model).eval()
    with torch.inference_mode():
        np.testing.assert_allclose(twin(pictures).numpy(), answers(model, pictures), atol=1e-4)
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.mul_(1.01)
    copy_weights(model, rounded(twin), to_keras=True)
    with torch.inference_mode():
        np.testing.assert_allclose(twin(pictures).numpy(), answers(model, pictures), atol=1e-4)


def test_frozen_layers_stay_as_they_are() -> None:
    twin = Twin(network.mobilenet_v2(SIZE, alpha=0.35)).train()
    before = {name: tensor.clone() for name, tensor in twin.state_dict().items()}
    twin(torch.rand(4, SIZE, SIZE, 3) * 255).sum().backward()
    torch.optim.SGD([p for p in twin.parameters() if p.requires_grad], lr=0.1).step()
    changed = {name for name, tensor in twin.state_dict().items() if not torch.equal(tensor, before[name])}
    assert changed
    assert not [name for name in changed if name.endswith(("running_mean", "running_var"))]
    assert not [name for name in changed if "block_1_" in name or "Conv1" in name]
    assert [name for name in changed if "block_3_" in name]


def test_an_unknown_layer_is_named() -> None:
    inputs = keras.Input((8, 8, 3))
    model = keras.Model(inputs, layers.Softmax(name="odd")(inputs))
    with pytest.raises(TypeError, match="odd"):
        Twin(model)


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


def test_vgg16_begins_with_the_weights_of_an_imagenet_file(imagenet: Path) -> None:
    model = network.vgg16(SIZE, hidden=8, imagenet=imagenet)
    convolutions = [layer for layer in model.layers if isinstance(layer, layers.Conv2D) and layer.name != "colours"]
    assert len(convolutions) == 13
    with h5py.File(imagenet) as file:
        for layer in convolutions:
            for variable, name in zip(layer.weights, ("W", "b"), strict=True):
                expected = file[f"{layer.name}/{layer.name}_{name}_1:0"][()]
                np.testing.assert_array_equal(variable.value.detach().numpy(), expected)
    assert [layer.name for layer in convolutions if not layer.trainable] == [
        f"block{block}_conv{place}" for block in (1, 2) for place in (1, 2)
    ]


def test_vgg16_from_imagenet_reads_pictures_as_its_publisher_did(imagenet: Path) -> None:
    """Its last map, and that of the twin, are those of ``keras.applications`` with the pre-processing named there."""
    model = network.vgg16(SIZE, hidden=8, imagenet=imagenet)
    ours = keras.Model(model.input, model.get_layer("block5_pool").output)
    published = keras.applications.VGG16(include_top=False, weights=str(imagenet), input_shape=(SIZE, SIZE, 3))
    pictures = torch.rand(2, SIZE, SIZE, 3) * 255
    expected = answers(published, keras.applications.vgg16.preprocess_input(pictures.clone()))
    np.testing.assert_allclose(answers(ours, pictures), expected, rtol=1e-3, atol=1e-2)
    twin = Twin(model).eval()
    with torch.inference_mode():
        np.testing.assert_allclose(twin(pictures).numpy(), answers(model, pictures), rtol=1e-3, atol=1e-2)


def test_the_command_takes_the_imagenet_file_for_either_network(imagenet: Path, tmp_path: Path) -> None:
    options = train._options(["--architecture", "vgg16", "--imagenet", str(imagenet)])
    assert train._network(options).get_layer("block5_conv3").filters == network.FULL_WIDTHS[-1]
    assert train._network(train._options(["--architecture", "vgg16"])).get_layer("block5_conv3").filters == 160
    with pytest.raises(SystemExit):
        train._options(["--architecture", "vgg16", "--imagenet", str(tmp_path / "none.h5")])


def test_augmentation_gives_bytes_of_the_size_and_repeats_by_seed() -> None:
    crop = faces().crops[0]
    for seed in range(60):
        one, two = (augment(crop, SIZE, np.random.default_rng(seed)) for _ in range(2))
        assert one.shape == (SIZE, SIZE, 3)
        assert one.dtype == np.uint8
        np.testing.assert_array_equal(one, two)


def test_batches_are_distributions_and_repeat_by_epoch() -> None:
    batches = FaceBatches(faces(), SIZE, batch=8, mixup=1.0, seed=4)
    first, again, other = (list(batches(epoch)) for epoch in (0, 0, 1))
    assert len(first) == batches.steps == 3
    for batch in first:
        assert batch.inputs["input_values"].shape == (8, SIZE, SIZE, 3)
        torch.testing.assert_close(batch.targets.sum(1), torch.ones(8))
    torch.testing.assert_close(first[0].inputs["input_values"], again[0].inputs["input_values"])
    assert not torch.equal(first[0].inputs["input_values"], other[0].inputs["input_values"])


def test_teachers_have_their_share_of_the_targets() -> None:
    teacher = Twin(network.vgg16(SIZE, (4, 4, 4, 4, 4), hidden=4)).eval()
    plain, taught = (
        next(iter(FaceBatches(faces(), SIZE, batch=8, mixup=0.0, teachers=teachers, trust=0.6)(0)))
        for teachers in ((), (teacher,))
    )
    right = (plain.targets * taught.targets).sum(1)
    assert (right >= 0.4).all()
    assert (right < 1.0).all()


def test_predictions_do_not_depend_on_the_parts() -> None:
    twin = Twin(network.vgg16(SIZE, (4, 4, 4, 4, 4), hidden=4))
    crops = faces(64, SIZE).crops
    np.testing.assert_allclose(predict(twin, crops)[:3], predict(twin, crops[:3]), atol=1e-5)


def test_figures_by_group() -> None:
    known = faces()
    right = np.eye(2)[known.labels]
    wrong_for_black = np.where((known.ethnicities == "Black")[:, None], right[:, ::-1], right)
    measured = figures(known, wrong_for_black)
    assert measured["all"] == {"accuracy": 0.5, "female": 1.0, "male": 0.0, "pictures": 24.0}
    assert measured["age 20-69"]["pictures"] == 12
    assert measured["gap"] == {"all": 1.0, "age 20-69": 1.0}


def test_the_average_lies_between() -> None:
    models = [network.vgg16(SIZE, (4, 4, 4, 4, 4), hidden=4) for _ in range(2)]
    one, two = (Twin(model).state_dict() for model in models)
    for name, tensor in Twin(average(models)).state_dict().items():
        if tensor.is_floating_point():
            torch.testing.assert_close(tensor, (one[name] + two[name]) / 2, atol=1e-3, rtol=1e-3)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras, as it saves
def test_networks_are_compared_on_the_same_pictures(tmp_path: Path) -> None:
    model, known = network.vgg16(SIZE, (4, 4, 4, 4, 4), hidden=4), faces(side=SIZE)
    model.save(tmp_path / network.NATIVE)
    Calibration(1.0, (50.0, 0.0)).save(tmp_path)  # everybody is answered "female", the first class
    measured = measure(tmp_path, known)
    assert measured.groups["all"] == {"accuracy": 0.5, "female": 1.0, "male": 0.0, "pictures": 24.0}
    name, parameters, *figures_ = table([measured]).splitlines()[-1].strip("| ").split(" | ")
    assert (name, parameters) == ("vgg16", f"{model.count_params():,}")
    assert figures_[:4] == ["0.500", "0.500", "1.000", "1.000"]


def test_an_interrupted_training_leaves_nothing_in_the_weights_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What lies there goes into the model store."""
    out, work = tmp_path / "out", tmp_path / "work"
    options = train._options(["--architecture", "vgg16", "--epochs", "2", "--out", str(out), "--work", str(work)])
    pictures, measured = faces(side=PROCESSOR.size), []

    def interrupt(*arguments: Any) -> Any:
        measured.append(figures(*arguments))
        if len(measured) == 2:
            raise KeyboardInterrupt
        return measured[0]

    monkeypatch.setattr(train, "figures", interrupt)
    model = network.vgg16(PROCESSOR.size, (4, 4, 4, 4, 4), hidden=4)
    with pytest.raises(KeyboardInterrupt):
        train._train(model, options, pictures, pictures, History.of(options))
    assert not out.exists()
    assert [path.name for path in work.iterdir()] == ["checkpoint.pt"]
