"""All five questions with the typed client that ``make clients`` generates.

``python clients/python/example.py http://127.0.0.1:3000 secret``
"""

from __future__ import annotations

import base64
import sys
from io import BytesIO
from pathlib import Path

from media_classification_client import AuthenticatedClient, Client
from media_classification_client.api.ai_voice import voice_detection
from media_classification_client.api.audio_scene import analyze_audio
from media_classification_client.api.face_gender import gender
from media_classification_client.api.heart_sound import upload_audio
from media_classification_client.api.uniform import classify
from media_classification_client.api.voice_gender import detect_gender
from media_classification_client.models import (
    AnalyzeRequest,
    ClassifyFilesBody,
    ClassifyQuestion,
    ClassifyResponse,
    DetectGenderBody,
    FaceResponse,
    GenderBody,
    ItemAnswer,
    SceneResponse,
    VoiceRequest,
    VoiceRequestAudioformat,
    VoiceRequestLanguage,
    VoiceResponse,
)
from media_classification_client.types import File

EXAMPLES = Path(__file__).parents[2] / "media" / "assets" / "examples"


def file(name: str) -> File:
    """One of the files that the bundle carries."""
    return File(payload=BytesIO((EXAMPLES / name).read_bytes()), file_name=name)


def main(url: str, key: str) -> None:
    """Asks each question once; an error of the server is an ``ErrorBody``, which none of them may be."""
    client = Client(base_url=url)
    scores = detect_gender.sync(client=client, body=DetectGenderBody(audio=file("voice.flac")))
    assert isinstance(scores, list)
    print("voice gender:", scores[0].label.value, scores[0].score)

    face = gender.sync(client=client, body=GenderBody(image=file("face.jpg")))
    assert isinstance(face, FaceResponse)
    print("face gender:", face.predictions.class_.value, face.predictions.probability)

    print("heart sound:", upload_audio.sync(client=client, body=file("heart.pcm")))

    scene = analyze_audio.sync(client=client, body=AnalyzeRequest("http://examples.invalid/music.flac"))
    assert isinstance(scene, SceneResponse)
    print("audio scene:", scene.data.classification.value, scene.data.duration)

    keyed = AuthenticatedClient(base_url=url, token=key, prefix="", auth_header_name="x-api-key")
    encoded = base64.b64encode((EXAMPLES / "voice.ogg").read_bytes()).decode()
    body = VoiceRequest(VoiceRequestLanguage.ENGLISH, VoiceRequestAudioformat.OGG, encoded)
    voice = voice_detection.sync(client=keyed, body=body)
    assert isinstance(voice, VoiceResponse)
    print("AI voice:", voice.classification.value, voice.explanation)

    files = ClassifyFilesBody(file=[file("voice.flac"), file("voice.ogg")])
    several = classify.sync(ClassifyQuestion.VOICE_GENDER, client=keyed, body=files)
    assert isinstance(several, ClassifyResponse)
    print("several:", [item.prediction if isinstance(item, ItemAnswer) else item.message for item in several.items])


if __name__ == "__main__":
    main(*sys.argv[1:])
