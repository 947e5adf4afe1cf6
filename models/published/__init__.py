"""Checkpoints that others published: what they are, and how they take the place of the compact models.

``training.fetch`` is the command. Serving an imported checkpoint needs ``checkpoint`` and ``processing`` only, the rest
needs the training requirements.
"""
