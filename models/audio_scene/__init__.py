"""Speech, music, noise or silence: a small Audio Spectrogram Transformer."""

from models.spec import AudioInput, ModelSpec

SPEC = ModelSpec(
    name="audio_scene",
    title="Audio scene",
    runner="AudioScene",
    classes=("speech", "music", "noise", "silence"),
    input=AudioInput(sample_rate=16_000, window_s=2.56, min_s=2.56),
    architecture="Audio Spectrogram Transformer (4 layers, width 128), 64-band Kaldi log-mel, 2.56 s windows",
    library="transformers (torch)",
    description="Tells speech, music, noise and silence apart from a log-mel spectrogram.",
    reference="MIT/ast-finetuned-audioset-10-10-0.4593",
    dataset="audio_scenes",
    licence="with credit, some clips share-alike (CC BY, CC BY-SA, CC0; EMO-DB, 28 songs, some speech unsettled)",
)
