"""The contract, clause by clause, asked over HTTP."""
