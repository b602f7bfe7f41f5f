"""From pixels and words to unit vectors: preparation, towers, weights, precision."""
