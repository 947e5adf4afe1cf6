"""Pre-processing of the voice gender model."""

from models.wav2vec2.processing import Wav2Vec2Processor

PROCESSOR = Wav2Vec2Processor()
