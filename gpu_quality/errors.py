"""What can go wrong: one exception tree, the exit codes, and the closed lists of reason codes."""

from typing import Final

STAGES: Final = ("list", "open", "read", "sniff", "decode", "score", "embed", "annotate", "write")
"""Where a frame or an annotation row failed: the values of `errors.stage`."""

REASONS: Final = (
    "missing",
    "permission",
    "not_regular_file",
    "outside_root",
    "empty",
    "too_many_bytes",
    "unknown_format",
    "format_not_allowed",
    "truncated",
    "decode_error",
    "too_many_pixels",
    "too_many_scans",
    "too_many_frames",
    "bad_dimensions",
    "metadata_too_large",
    "timeout",
    "worker_died",
    "out_of_memory",
    "non_finite",
    "changed_during_read",
    "changed_since_listing",
    "bad_annotation",
    "internal",
    "missing_file",
    "duplicate_image_id",
    "duplicate_ann_id",
    "duplicate_category_id",
    "orphan_image_id",
    "orphan_category_id",
    "missing_geometry",
    "zero_dimensions",
    "non_finite_geometry",
    "degenerate_bbox",
    "invalid_rle",
    "keypoint_length",
    "dt_orphan_image_id",
    "dt_orphan_category_id",
    "dt_missing_score",
    "dt_score_out_of_range",
)
"""Why a frame, an annotation row or a cell has no value: the values of `errors.reason`. Those from "missing_file" on are the
codes of the annotation health checks (reference metrics.md 11.3), so that a refused row is found under the same name there."""

RETRYABLE: Final = frozenset({"timeout", "worker_died", "out_of_memory", "internal"})
"""Reasons that another attempt may cure; `--retry-errors` redoes these and no others."""

NULL_REASONS: Final = (
    "too_small",
    "empty_region",
    "degenerate_geometry",
    "unsupported_shape",
    "no_neighbors",
    "too_few_samples",
    "no_probabilities",
    "no_track",
    "short_track",
    "first_frame",
    "no_match",
    "no_metadata",
)
"""Why a metric is undefined for a row by its own definition: the values of `nulls.reason`. Such a null is no error."""


class GpuQualityError(Exception):
    """Base of every error this package raises on purpose.

    `code` names the kind, `exit_code` is what the command line exits with, `hint` says what to do next.
    """

    code: str = "ERROR"
    exit_code: int = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint

    def __reduce__(self) -> tuple[object, ...]:
        """Keep the hint when the error crosses a process border."""
        return (_rebuild, (type(self), self.args, self.__dict__))


def _rebuild(cls: type[GpuQualityError], args: tuple[object, ...], state: dict[str, object]) -> GpuQualityError:
    error = cls.__new__(cls)
    error.args = args
    error.__dict__.update(state)
    return error


class UsageError(GpuQualityError, ValueError):
    """The request itself is wrong: a flag, a value, an empty input."""

    code = "USAGE"
    exit_code = 2


class ConfigError(UsageError):
    """A run configuration is malformed or has unknown keys."""

    code = "CONFIG"


class UnknownNameError(UsageError):
    """A name (metric, feature, option, format, column) does not exist; the message lists close ones."""

    code = "UNKNOWN_NAME"


class PlanError(UsageError):
    """The wanted metrics cannot be put in an order, or need something the input does not have."""

    code = "PLAN"


class EmptyInputError(UsageError):
    """There is nothing to score."""

    code = "EMPTY_INPUT"


class FrameError(GpuQualityError):
    """One frame or one annotation row is unusable; a run turns it into a row of the error table."""

    code = "FRAME"

    def __init__(self, reason: str, detail: str = "", *, stage: str = "decode", hint: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason, hint=hint)
        self.reason, self.detail, self.stage = reason, detail, stage


class DecodeError(FrameError):
    """The bytes of a frame did not become pixels."""

    code = "DECODE"


class AnnotationError(FrameError):
    """A label or prediction row breaks a rule of the canonical tables."""

    code = "ANNOTATION"


class MetricError(GpuQualityError):
    """A metric raised, or returned something its declaration does not promise."""

    code = "METRIC"


class ErrorBudgetError(GpuQualityError):
    """More frames failed than `--max-errors` allows."""

    code = "TOO_MANY_ERRORS"
    exit_code = 4


class GateError(GpuQualityError):
    """A `--fail-on` condition is not met."""

    code = "GATE"
    exit_code = 5


class StoreError(GpuQualityError):
    """Base of errors about a store on disk."""


class NotAStoreError(StoreError):
    """The folder is not a store."""

    code = "NOT_A_STORE"
    exit_code = 10


class LockedError(StoreError):
    """Another process is writing to this store."""

    code = "LOCKED"
    exit_code = 11


class CorruptError(StoreError):
    """A file of the store is missing, changed or damaged."""

    code = "CORRUPT"
    exit_code = 12


class IncompatibleError(StoreError):
    """The store answers another question, or was written by a newer format."""

    code = "INCOMPATIBLE"
    exit_code = 13


class ResourceError(GpuQualityError):
    """Disk, memory or progress ran out; what was committed is kept and the run can be resumed."""

    code = "RESOURCE"
    exit_code = 14


class DiskFullError(ResourceError):
    """The file system has no space or no inodes left."""

    code = "DISK_FULL"


class StalledError(ResourceError):
    """A worker made no progress for `engine.stall_s` seconds, twice."""

    code = "STALLED"


class RefusedError(GpuQualityError):
    """A model, index, store or config failed a safety check."""

    code = "REFUSED"
    exit_code = 15
