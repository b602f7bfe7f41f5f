"""A picture of two measures against each other."""
