"""All five questions with BentoML's own client, which finds them as typed methods.

``python clients/bentoml/example.py http://127.0.0.1:3000 secret``
"""

from __future__ import annotations

import base64
import sys
from pathlib import Path

import bentoml

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "media" / "assets" / "examples"
HEART = ROOT / "tests" / "data" / "hearts" / "normal_1.flac"  # any container; raw PCM goes to /upload_audio


def main(url: str, key: str) -> None:
    """Asks each question once; the key is the client's token."""
    with bentoml.SyncHTTPClient(url, token=key) as client:
        print("voice gender:", client.voice_gender(audio=EXAMPLES / "voice.flac"))
        print("face gender:", client.face_gender(image=EXAMPLES / "face.jpg"))
        print("heart sound:", client.heart_sound(audio=HEART))
        print("audio scene:", client.audio_scene(audio_url="http://examples.invalid/music.flac"))
        audio = base64.b64encode((EXAMPLES / "voice.ogg").read_bytes()).decode()
        request = {"language": "English", "audioFormat": "ogg", "audioBase64": audio}
        print("AI voice:", client.voice_detection(request=request))
        both = client.classify_audio_scene(items=[{"base64": audio}, {"url": "http://examples.invalid/music.flac"}])
        print("several:", [item["prediction"] for item in both["items"]])


if __name__ == "__main__":
    main(*sys.argv[1:])
