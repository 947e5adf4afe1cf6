"""Tests that serve the whole bundle."""
