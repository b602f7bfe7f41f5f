"""Names made from a person's words: columns from titles, short hashes from ids, cells no spreadsheet takes for formulas."""

import hashlib
import re
from collections.abc import Collection

from gpu_quality import registry
from gpu_quality.store.store import Store


def slug(title: str) -> str:
    """A title as the name of a column: small letters, digits and single underscores; "metric" where nothing is left."""
    words = re.sub(r"[^0-9a-z]+", "_", title.lower()).strip("_")[:80]
    return words if words[:1].isalpha() else f"metric_{words}".rstrip("_")


def short_hash(text: str) -> str:
    """Twelve hexadecimal digits of the SHA-256 of an id."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]


def reserved_columns(store: Store) -> frozenset[str]:
    """Names a person's own column cannot have: those of declared metrics and of the input tables."""
    registry.load_built_in()
    declared = {name for metric in registry.metrics() for name in (metric, f"object_{metric}")}
    given = {name for table in ("frames", "objects", "classifications") for name in store.input.columns(table)}
    return frozenset(declared | given | {"row", "object_row", "classification_row", "file_hash"})


def column_name(title: str, reserved: Collection[str]) -> str:
    """The column of a title: its slug, behind ``custom_`` where a built-in column has that name."""
    name = slug(title)
    return f"custom_{name}" if name in reserved else name


def csv_cell(text: str) -> str:
    """Text that no spreadsheet takes for a formula."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text
