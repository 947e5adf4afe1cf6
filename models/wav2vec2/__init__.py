"""What the wav2vec2 classifiers share: processing, filter bank, network, training. Not a model by itself."""
