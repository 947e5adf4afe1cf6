"""What the notebooks share: a model's data, a training by its own command, its answers, and pictures of all three."""
