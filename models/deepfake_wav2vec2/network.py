"""The native network: a wav2vec2 classifier of transformers."""

from models.wav2vec2.network import load_native

__all__ = ["load_native"]
