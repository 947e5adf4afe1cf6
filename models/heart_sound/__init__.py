"""Normal, murmur, extra heart sound, extrasystole or artefact: what a stethoscope or phone picked up."""

from models.spec import AudioInput, ModelSpec

SPEC = ModelSpec(
    name="heart_sound",
    title="Heart sound",
    runner="HeartSound",
    classes=("Artifact", "Extrahls", "Extrastole", "Murmur", "Normal"),
    input=AudioInput(sample_rate=2_000, window_s=30.0, min_s=1.0),
    architecture="two small CNNs on 32-band log-mel below 800 Hz, averaged",
    library="torch",
    description="Tells five kinds of heart sound recording apart by their spectrogram.",
    dataset="heart_sounds",
    licence="with credit (ODC-By; PASCAL challenge data without a formal text)",
)
