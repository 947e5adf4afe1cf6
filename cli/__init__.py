"""The five questions about files, without a server: ``mediaclassify QUESTION PATH ...``."""
