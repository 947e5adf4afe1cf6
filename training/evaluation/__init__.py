"""What the served models get right: answers on the validation parts, figures of them, and where these are written."""
