"""Why a checkpoint is not imported."""


class CheckpointError(RuntimeError):
    """A checkpoint that cannot take the place of a bundled model; the message is for the person who asked for it."""
