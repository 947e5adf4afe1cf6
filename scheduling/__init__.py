"""Batching and admission: the queue of each model, its throughput estimate, and the client of its runner."""
