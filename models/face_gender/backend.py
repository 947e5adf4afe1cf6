"""Keras on torch: import ``keras`` and ``layers`` from here, as Keras picks its backend when it is first imported."""

import os

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras
from keras import layers

__all__ = ["keras", "layers"]
