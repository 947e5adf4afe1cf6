"""Published checkpoints: download, check and import."""
