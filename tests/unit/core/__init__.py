"""Tests of ``core/``."""
