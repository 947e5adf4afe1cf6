"""Female or male voice, by a small wav2vec2 classifier."""

from models.spec import AudioInput, ModelSpec

SPEC = ModelSpec(
    name="voice_gender",
    title="Voice gender",
    runner="VoiceGender",
    classes=("female", "male"),
    input=AudioInput(sample_rate=16_000, window_s=8.0, min_s=1.0),
    architecture="Wav2Vec2ForSequenceClassification, filter-bank first layer, 2 transformer layers of width 128",
    library="transformers",
    description="Whether adult speech was recorded as a woman's or a man's voice.",
    reference="alefiury/wav2vec2-large-xlsr-53-gender-recognition-librispeech",
    licence="with credit, Malayalam clips share-alike (CC BY, CC BY-SA, CC0; EMO-DB without a formal text)",
)
