"""Everything a report says as one object for machines."""
