"""The five questions about files, without a server: ``python -m classify QUESTION PATH ...``."""
