"""The models: what each one is, how it is trained, measured, exported and kept in the store."""
