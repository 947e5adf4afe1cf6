"""The image and the stack, run in containers: ``make test-containers``."""
