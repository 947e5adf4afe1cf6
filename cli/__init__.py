"""The five questions about files, without a server: ``python -m cli QUESTION PATH ...``."""
