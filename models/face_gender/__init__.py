"""Face gender: female or male, as a face presents, from one aligned picture of it."""

from models.spec import ImageInput, ModelSpec

SPEC = ModelSpec(
    name="face_gender",
    title="Face gender",
    runner="FaceGender",
    classes=("female", "male"),
    input=ImageInput(size=112),
    architecture="MobileNetV2 1.0 from ImageNet up to its last narrow layer, flattened into one dense layer",
    library="keras 3 (torch backend)",
    description="Tells whether a face looks female or male, from its aligned picture.",
    licence="**non-commercial research only** (UTKFace)",
)
