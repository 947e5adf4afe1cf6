"""The labelled data: where it comes from, how it is made again, and how it is read."""
