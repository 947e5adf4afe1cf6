"""The five questions, each one asynchronous function, and what they share."""
