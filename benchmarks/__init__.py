"""The bundle beside other model servers and against the floor: ``python -m benchmarks``."""
