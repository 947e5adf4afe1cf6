"""Keras on torch: import ``keras`` and ``layers`` from here, as Keras picks its backend when it is first imported."""

import os

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras
from keras import layers

__all__ = ["IMAGENET_MEAN", "keras", "layers"]

IMAGENET_MEAN = (103.939, 116.779, 123.68)  # blue, green, red: what keras.applications.vgg16 subtracts
