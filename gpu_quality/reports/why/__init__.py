"""The part of a report about causes: importance, performance along metrics, and weak slices, gathered and then drawn."""
