"""Female or male voice, read off a speech encoder."""

from models.spec import AudioInput, ModelSpec

SPEC = ModelSpec(
    name="voice_gender",
    title="Voice gender",
    runner="VoiceGender",
    classes=("female", "male"),
    input=AudioInput(sample_rate=16_000, window_s=10.0, min_s=0.5),
    architecture="first three layers of Whisper tiny's encoder, statistics over speech, linear head",
    library="torch",
    description="Whether adult speech was recorded as a woman's or a man's voice.",
    reference="alefiury/wav2vec2-large-xlsr-53-gender-recognition-librispeech",
    measures=("speech_s",),
    built_on="encoder",
    licence="with credit; Malayalam clips share-alike (see the card)",
)
