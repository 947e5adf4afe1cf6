"""Signal processing on NumPy arrays."""
