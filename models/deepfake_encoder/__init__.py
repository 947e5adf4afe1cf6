"""Human or AI-generated voice, read off a speech encoder: the first member of the ensemble."""

from models.spec import AudioInput, ModelSpec

SPEC = ModelSpec(
    name="deepfake_encoder",
    title="AI-generated voice: speech encoder",
    runner="DeepfakeEncoder",
    classes=("HUMAN", "AI_GENERATED"),
    input=AudioInput(sample_rate=16_000, window_s=10.0, min_s=0.5),
    architecture="first three layers of Whisper tiny's encoder, statistics over speech, dense head",
    library="torch",
    description="Whether speech was spoken by a person or made by a machine.",
    reference="garystafford/wav2vec2-deepfake-voice-detector",
    dataset="voice_deepfake",
    measures=("speech_s",),
    built_on="encoder",
    licence="research (more than half of the clips without a clear licence)",
)
