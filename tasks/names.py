"""The questions by name, and the models that answer each.

The module is apart from the tasks because runner processes load it too.
"""

from __future__ import annotations

from models import registry

AI_VOICE = "ai-voice"
ENSEMBLE = "voice_deepfake"  # the three models of AI voices together, in the metrics of what is done once for all
_BUNDLED: dict[str, tuple[str, ...]] = {
    "voice-gender": ("voice_gender",),
    "face-gender": ("face_gender",),
    "heart-sound": ("heart_sound",),
    "audio-scene": ("audio_scene",),
    AI_VOICE: ("deepfake_encoder", "deepfake_cnn", "deepfake_mlp"),
}
_ANSWERING = {model for models in _BUNDLED.values() for model in models}
# A question for each further model of the registry, under the model's own name.
FURTHER = {name.replace("_", "-"): (name,) for name in registry.specs() if name not in _ANSWERING}
MODELS_BY_QUESTION: dict[str, tuple[str, ...]] = {**_BUNDLED, **FURTHER}
