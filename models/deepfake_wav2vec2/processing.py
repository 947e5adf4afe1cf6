"""Pre-processing of the wav2vec2 member of the AI-voice ensemble."""

from models.wav2vec2.processing import Wav2Vec2Processor

PROCESSOR = Wav2Vec2Processor(heard_s=0.5)  # the third convolution spans 220 ms
