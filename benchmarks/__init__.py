"""The bundle beside other model servers and against its bare engine: ``python -m benchmarks``."""

import os

# Before anything here loads NumPy, and for the programs that are started: as ``service`` has it for its own processes.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
