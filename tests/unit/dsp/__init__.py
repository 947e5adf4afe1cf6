"""Tests of ``dsp/``."""
