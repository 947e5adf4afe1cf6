"""What the recipes share: features, heads, loops, augmentation and calibration."""
