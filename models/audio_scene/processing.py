"""Pre-processing of the shared encoder."""

from models.encoder.processing import PROCESSOR

__all__ = ["PROCESSOR"]
