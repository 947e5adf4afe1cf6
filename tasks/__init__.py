"""The five questions, each one generator that does no input or output, and what they share."""
