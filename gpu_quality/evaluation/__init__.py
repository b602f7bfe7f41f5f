"""How well predictions agree with labels: one matching on flat arrays, and every protocol's numbers from it, in float64."""
