"""Containers and encodings that checkpoints are written in: bounded readers that know no tensors."""
