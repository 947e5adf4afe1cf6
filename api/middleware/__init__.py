"""ASGI middleware: observation, CORS, limits and dispatch."""
