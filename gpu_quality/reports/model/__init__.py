"""The part of a report about the model: figures, curves, confusions and galleries, gathered and then drawn."""
