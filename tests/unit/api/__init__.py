"""Tests of ``api/``."""
