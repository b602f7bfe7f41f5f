"""The built-in metrics, one file per question; each is a small pure function of what it names."""
