"""Tests of ``training/``."""
