"""Kernels for long products of matrices: log singular values, exponents, powers."""
