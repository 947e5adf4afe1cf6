"""The native network: the shared encoder and a linear head."""

from models.encoder.network import load_native

__all__ = ["load_native"]
