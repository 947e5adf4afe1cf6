"""The bundle's version, for documents, images and clients."""

VERSION = "0.2.0"
