"""Training code that the models share: data, augmentation, the loop, metrics, calibration. Not used while serving."""
