"""Neighbor search: exact, or by an index of faiss where there are too many vectors; chosen by size, said in a sentence."""
