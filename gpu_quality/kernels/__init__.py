"""Exact integer kernels on ragged batches: pixel statistics, thumbnails, Hamming distances."""
