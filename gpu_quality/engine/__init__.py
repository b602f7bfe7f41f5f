"""How work is run: the worker is the job, an engine only decides where it runs."""
