"""Index notation with symbolic sizes: what a tensor formula means, for all sizes at once."""
