"""Face gender: female or male, as a face presents, from one aligned picture of it."""

from models.spec import ImageInput, ModelSpec

SPEC = ModelSpec(
    name="face_gender",
    title="Face gender",
    runner="FaceGender",
    classes=("female", "male"),
    input=ImageInput(size=150),
    architecture="dlib's residual network for faces (CC0) with one dense layer, for a face and its mirror image",
    library="keras 3 (tensorflow)",
    description="Tells whether a face looks female or male, from its aligned picture.",
    licence="with credit (FairFace, CC BY 4.0)",
)
