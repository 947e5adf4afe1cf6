"""Speech, music, noise or silence, read off a speech encoder and a level meter."""

from models.spec import AudioInput, ModelSpec

SPEC = ModelSpec(
    name="audio_scene",
    title="Audio scene",
    runner="AudioScene",
    classes=("speech", "music", "noise", "silence"),
    input=AudioInput(sample_rate=16_000, window_s=2.56, min_s=0.5),
    architecture="first three layers of Whisper tiny's encoder, statistics over time and levels, kernel head",
    library="torch",
    description="Tells speech, music, noise and silence apart from a log-mel spectrogram and its level.",
    reference="MIT/ast-finetuned-audioset-10-10-0.4593",
    dataset="audio_scenes",
    measures=("speech_s",),
    built_on="encoder",
    licence="with credit; some clips share-alike or GPL (see the card)",
)
