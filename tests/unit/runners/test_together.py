"""Which models share a process, and what the service of such a process is."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import runners
from core.settings import Settings, get_settings
from models import registry
from runners import all_runners, places

NAMES = tuple(registry.specs())


@pytest.fixture(autouse=True)
def _anew(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Places are made once in a process."""
    places.cache_clear()
    yield
    monkeypatch.undo()
    places.cache_clear()


def configured(monkeypatch: pytest.MonkeyPatch, together: str, **more: str) -> None:
    monkeypatch.setenv("RUNNERS_TOGETHER", together)
    for name, value in more.items():
        monkeypatch.setenv(name, value)
    settings = Settings()
    get_settings.cache_clear()
    monkeypatch.setattr(runners, "get_settings", lambda: settings)
    monkeypatch.setattr("runners.base.get_settings", lambda: settings)


def test_by_default_each_model_is_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    configured(monkeypatch, "")
    assert {name: place.service for name, place in places().items()} == all_runners()
    assert {place.suffix for place in places().values()} == {""}


def test_all_share_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    configured(monkeypatch, " all ")
    services = {place.service.name: place.service for place in places().values()}
    assert list(services) == ["ModelGroup1"]
    (service,) = services.values()
    assert set(service.apis) == {f"{method}_{name}" for method in ("predict", "served") for name in NAMES}
    assert [name for name, api in service.apis.items() if api.batchable] == [f"predict_{name}" for name in NAMES]
    assert [model.tag.name for model in service.models] == list(NAMES)  # which a bento takes along


def test_groups_are_apart_and_the_rest_are_by_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    configured(monkeypatch, "voice_gender,face_gender; audio_scene ,deepfake_cnn;heart_sound")
    together = dict.fromkeys(("voice_gender", "face_gender"), "ModelGroup1")
    together |= dict.fromkeys(("audio_scene", "deepfake_cnn"), "ModelGroup2")
    alone = {name: spec.runner for name, spec in registry.specs().items()}
    assert {name: place.service.name for name, place in places().items()} == alone | together


def test_a_group_computes_as_much_at_once_as_its_models_do(monkeypatch: pytest.MonkeyPatch) -> None:
    options = '{"voice_gender": {"streams": 3, "workers": 2}, "face_gender": {"streams": 2}}'
    configured(monkeypatch, "voice_gender,face_gender", RUNNERS=options)
    config = places()["face_gender"].service.config
    assert config["threads"] == 5
    assert config["workers"] == 2
