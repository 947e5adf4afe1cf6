"""Runs a saved network: the compiled form on the CPU, or the native one."""
