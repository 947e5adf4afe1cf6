"""Tests of ``scheduling/``."""
