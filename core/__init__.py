"""Settings, errors, logs and metrics: what every other folder may import, and which imports none of them."""
