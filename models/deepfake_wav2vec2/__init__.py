"""Human or AI-generated voice, by a small wav2vec2 classifier: the first member of the ensemble."""

from models.spec import AudioInput, ModelSpec

SPEC = ModelSpec(
    name="deepfake_wav2vec2",
    title="AI-generated voice: wav2vec2",
    runner="DeepfakeWav2Vec2",
    classes=("HUMAN", "AI_GENERATED"),
    input=AudioInput(sample_rate=16_000, window_s=6.0, min_s=1.0),
    architecture="Wav2Vec2ForSequenceClassification, filter-bank first layer, 2 transformer layers of width 128",
    library="transformers",
    description="Whether speech was spoken by a person or made by a machine, from the waveform.",
    reference="garystafford/wav2vec2-deepfake-voice-detector",
    dataset="voice_deepfake",
    licence="research (nearly half of the clips without a clear licence)",
)
