"""Tests of ``deploy/``."""
