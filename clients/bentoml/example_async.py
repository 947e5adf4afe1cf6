"""The same five questions at the same time, with BentoML's asynchronous client.

``python clients/bentoml/example_async.py http://127.0.0.1:3000 secret``
"""

from __future__ import annotations

import asyncio
import base64
import sys
from pathlib import Path

import bentoml

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "media" / "assets" / "examples"
HEART = ROOT / "tests" / "data" / "hearts" / "normal_1.flac"  # any container; raw PCM goes to /upload_audio


async def main(url: str, key: str) -> None:
    """Asks all questions at once; the key is the client's token."""
    audio = base64.b64encode((EXAMPLES / "voice.ogg").read_bytes()).decode()
    async with bentoml.AsyncHTTPClient(url, token=key) as client:
        names = ("voice gender", "face gender", "heart sound", "audio scene", "AI voice")
        answers = await asyncio.gather(
            client.voice_gender(audio=EXAMPLES / "voice.flac"),
            client.face_gender(image=EXAMPLES / "face.jpg"),
            client.heart_sound(audio=HEART),
            client.audio_scene(audio_url="http://examples.invalid/music.flac"),
            client.voice_detection(request={"language": "English", "audioFormat": "ogg", "audioBase64": audio}),
        )
    for name, answer in zip(names, answers, strict=True):
        print(f"{name}: {answer}")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
