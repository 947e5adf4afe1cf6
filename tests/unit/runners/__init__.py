"""Tests of ``runners/``."""
