"""Human or AI-generated voice, by a network over 47 acoustic features: the third member of the ensemble."""

from models.spec import AudioInput, ModelSpec

SPEC = ModelSpec(
    name="deepfake_mlp",
    title="AI-generated voice: acoustic features",
    runner="DeepfakeMlp",
    classes=("HUMAN", "AI_GENERATED"),
    input=AudioInput(sample_rate=16_000, window_s=30.0, min_s=1.0),
    architecture="Four specialised units (stability, artifact, dynamic range, flatness) and a trunk over 47 features",
    library="torch",
    description="Whether speech was spoken by a person or made by a machine, from 47 acoustic measures.",
    dataset="voice_deepfake",
    licence="research (more than half of the clips without a clear licence)",
)
