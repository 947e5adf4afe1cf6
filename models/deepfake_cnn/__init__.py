"""Human or synthetic speech from a mel spectrogram: the second member of the ensemble."""

from models.spec import AudioInput, ModelSpec

SPEC = ModelSpec(
    name="deepfake_cnn",
    title="AI-generated voice: spectrogram CNN",
    runner="DeepfakeCnn",
    classes=("HUMAN", "AI_GENERATED"),
    input=AudioInput(sample_rate=16_000, window_s=30.0, min_s=1.0),
    architecture="four CNNs with statistics over time on a 128-band log-mel spectrogram of any length, averaged",
    library="torch",
    description="Tells human from synthetic speech by the fine structure of its mel spectrogram.",
    dataset="voice_deepfake",
    licence="research (more than half of the clips without a clear licence)",
)
