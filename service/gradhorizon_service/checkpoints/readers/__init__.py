"""One file a format: an open file in, named tensors and what the file says of itself out. No reader runs anything."""
