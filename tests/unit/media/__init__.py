"""Tests of ``media/``."""
