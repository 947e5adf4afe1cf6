"""Which unit tests run beside others: all but those below, and those that serve the bundle."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

HERE = Path(__file__).parent

# They measure time, or fail where a process stands still for less than a second.
# What is counted or weighed of a process is its own, so the tests of that run beside others.
ALONE = frozenset(
    {
        "api/test_silent_connections.py",
        "media/test_fetch_hostile.py",
        "runners/test_batcher.py",
        "storage/test_cache.py",
    }
)
# Of these some tests are served; the other modules are not even imported where only served tests run.
SERVING = frozenset({"cli/test_cli.py", "core/test_settings.py", "training/test_fetch_checkpoints.py"})
OF_SERVED = "not parallel and not alone and not containers"  # the marks of that stage (Makefile)
# They train, import checkpoints, answer with every model, decode what takes long, or start several processes.
SLOW = frozenset(
    {
        "cli/test_cli.py",
        "core/test_logs.py",
        "core/test_supervisor.py",
        "engine/test_engines.py",
        "media/test_audio_refused.py",
        "media/test_cost.py",
        "media/test_hostile_audio.py",
        "media/test_hostile_images.py",
        "media/test_image_bounds.py",
        "models/test_encoder.py",
        "models/test_face_gender.py",
        "models/test_golden.py",
        "models/test_store.py",
        "runners/test_batch_mates.py",
        "runners/test_start.py",
        "scheduling/test_kept_memory.py",
        "storage/test_latest.py",
        "training/test_augment.py",
        "training/test_face_gender_training.py",
        "training/test_fetch_checkpoints.py",
        "training/test_fetch_keras.py",
        "training/test_made_further_scenes.py",
        "training/test_made_further_voices.py",
        "training/test_members.py",
        "training/test_study.py",
        "training/test_training.py",
    }
)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leaves out modules of which a stage of `make test` runs nothing: their frameworks take seconds to import."""
    stage = {"alone": ALONE, OF_SERVED: SERVING}.get(config.getoption("markexpr"))
    if stage is None or not collection_path.match("test_*.py"):
        return None
    return collection_path.relative_to(HERE).as_posix() not in stage or None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Marks what runs beside others, what runs alone, and what is too slow for `make test-fast`.

    Several processes begin with the slow modules, so that none is left to one at the end (``--no-loadscope-reorder``).
    Where served tests run, ``LONG`` in ``tests/conftest.py`` has put them in order.
    """
    for item in items:
        if not item.path.is_relative_to(HERE):
            continue
        module = item.path.relative_to(HERE).as_posix()
        if module in ALONE:
            item.add_marker("alone")
        elif item.get_closest_marker("served") is None:
            item.add_marker("parallel")
        if module in SLOW:
            item.add_marker("slow")
    if "PYTEST_XDIST_WORKER" in os.environ and config.getoption("markexpr") != OF_SERVED:
        items.sort(key=lambda item: item.get_closest_marker("slow") is None)
