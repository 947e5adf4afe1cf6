"""Tests of ``tests/support/``."""
