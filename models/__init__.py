"""What serving needs of the models: what each one is, how it prepares its input, its weights, and the model store."""
