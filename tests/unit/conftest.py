"""Which unit tests run beside others: all but those below, and those that serve the bundle."""

from __future__ import annotations

from pathlib import Path

import pytest

HERE = Path(__file__).parent

# They measure time, or memory of their own process, count or end processes, or hold every core: beside others they
# would measure those. Memory of a child process is its own, so tests of that run beside others.
ALONE = frozenset(
    {
        "api/test_silent_connections.py",
        "core/test_supervisor.py",
        "engine/test_engines.py",
        "media/test_cost.py",
        "media/test_fetch_hostile.py",
        "runners/test_batcher.py",
        "scheduling/test_kept_memory.py",
        "storage/test_cache.py",
    }
)
# They train, import checkpoints, answer with every model, decode what takes long, or start several processes.
SLOW = frozenset(
    {
        "cli/test_cli.py",
        "core/test_logs.py",
        "media/test_audio_refused.py",
        "media/test_hostile_audio.py",
        "media/test_hostile_images.py",
        "media/test_image_bounds.py",
        "models/test_encoder.py",
        "models/test_face_gender.py",
        "models/test_golden.py",
        "models/test_store.py",
        "runners/test_batch_mates.py",
        "runners/test_start.py",
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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks what runs beside others, what runs alone, and what is too slow for `make test-fast`."""
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
