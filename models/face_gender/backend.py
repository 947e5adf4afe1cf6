"""Keras on TensorFlow: import ``keras`` and ``layers`` from here, for Keras picks its backend when first imported."""

import os

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # it reports at every start that it finds no GPU

import keras
from keras import layers

__all__ = ["IMAGENET_MEAN", "keras", "layers"]

IMAGENET_MEAN = (103.939, 116.779, 123.68)  # blue, green, red: what keras.applications.vgg16 subtracts
