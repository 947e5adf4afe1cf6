"""The five questions about files, without a server: ``mediaclassify QUESTION PATH ...``."""

import os

# As in the service: the small products of a request gain nothing from more threads, and sums are taken in one order.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
