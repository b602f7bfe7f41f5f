"""Run a plan's stream steps on one batch: values in, cells of columns out, and an error for every cell that failed."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from gpu_quality.errors import NULL_REASONS, GpuQualityError
from gpu_quality.plan import Plan, Step
from gpu_quality.types import Answers, Crops, Masked, Objects, Pixels, Regions

Roots = Mapping[str, object]
DTYPES = (torch.float64, torch.float32, torch.int64, torch.bool)
VECTORS = (torch.float16, torch.float32)


@dataclass(slots=True)
class Cells:
    """One column for the rows of one batch. `null` is 0 for a value, 1 + index into NULL_REASONS, or -1 for an error."""

    value: Tensor
    """One value per row, or one vector: those are NaN throughout where there is none."""
    null: Tensor


@dataclass(frozen=True, slots=True)
class CellError:
    """A metric failed for one row; every other cell is whole."""

    metric: str
    frame: int
    object: int | None
    reason: str
    detail: str
    exc_type: str = ""


@dataclass(slots=True)
class Rows:
    """What one batch gives: columns of frames, columns of objects, failed cells."""

    frame: dict[str, Cells] = field(default_factory=dict)
    object: dict[str, Cells] = field(default_factory=dict)
    answer: dict[str, Cells] = field(default_factory=dict)
    errors: list[CellError] = field(default_factory=list)
    isolated: set[str] = field(default_factory=set)
    """Columns that were redone frame by frame, for all origins at once."""


@dataclass(frozen=True, slots=True)
class Work:
    """One batch as the stream sees it.

    `picked` are the objects that are regions; `single` gives frame `i` as a batch of one. `of_objects` are the names of roots
    with a row per object. Frames in `unsized` have sizes of NaN: what comes out as NaN there is unknown, not wrong.
    """

    roots: Roots
    frames: int
    objects: Objects | None
    picked: Tensor
    single: "Callable[[int], Work] | None" = None
    of_objects: frozenset[str] = frozenset()
    unsized: Tensor | None = None


class _Failed:
    """Stands for a value that could not be computed, and why."""

    def __init__(self, detail: str, exc_type: str) -> None:
        self.detail, self.exc_type = detail, exc_type


class Stream:
    """The stream steps of a plan, ready to run on batches. Modules are built once."""

    def __init__(self, plan: Plan, resources: Mapping[str, object], origins: Sequence[str]) -> None:
        self.plan, self.origins = plan, tuple(origins)
        self.resources: dict[str, Any] = dict(resources)
        self._per = {name: step.node.per for step in plan.stream for name in (step.name, *step.node.gives)}
        self._calls: dict[str, Callable[..., Any]] = {}
        self._sized = {"sizes"}
        """Names whose value depends on how large frames are."""
        for step in plan.stream:
            if self._sized.intersection(step.needs):
                self._sized.update((step.name, *step.node.gives))
            function = step.node.function
            self._calls[step.name] = function(**step.options) if isinstance(function, type) else function

    def __call__(self, work: Work) -> Rows:
        """Run every step on one batch; a failing metric costs only its own cells."""
        rows = Rows()
        env: dict[str, Any] = {**self.resources, **work.roots}
        by_origin: list[dict[str, Any]] = [{} for _ in self.origins]
        members = self._members(work)
        crops = self.resources.get("crops", Crops())
        for step in self.plan.stream:
            if step.by_origin:
                for origin, indices in enumerate(members):
                    if step.cropped and origin not in crops.origins:
                        continue
                    own = {name: env[name][indices] for name in work.of_objects}
                    inner = {**env, **own, **by_origin[origin], "objects": _select(work.objects, indices)}
                    value = self._guarded(step, inner, work, indices)
                    by_origin[origin].update(_named(step, value))
                    self._keep(step, value, work, rows, origin, indices)
            elif step.stacked:
                value = self._stacked(step, env, work)
                env.update(_named(step, value))
                self._keep(step, value, work, rows, 0, None)
            else:
                value = self._guarded(step, env, work, None)
                env.update(_named(step, value))
                self._keep(step, value, work, rows, 0, None)
            for name in step.forget:
                env.pop(name, None)
        return rows

    def _members(self, work: Work) -> list[Tensor]:
        """Indices of the objects of each origin."""
        if work.objects is None:
            return [torch.empty(0, dtype=torch.int64) for _ in self.origins]
        return [(work.objects.origin == i).nonzero().flatten() for i in range(len(self.origins))]

    def _guarded(self, step: Step, env: Mapping[str, Any], work: Work, indices: Tensor | None) -> Any:
        """Call a step; an exception becomes a value that says so."""
        failed = next((env[need] for need in step.needs if isinstance(env[need], _Failed)), None)
        if failed is not None:
            return failed
        keywords = {} if isinstance(step.node.function, type) else dict(step.options)
        if step.node.gives:
            keywords["wanted"] = step.wanted
        try:
            arguments = [self._cut(env[need], need, step, work, indices) for need in step.needs]
            return self._calls[step.name](*arguments, **keywords)
        except GpuQualityError as error:
            return _Failed(str(error), type(error).__name__)
        except Exception as error:
            return _Failed(f"{step.node.role} {step.node.name} raised {type(error).__name__}: {error}", type(error).__name__)

    def _cut(self, value: Any, need: str, step: Step, work: Work, indices: Tensor | None) -> Any:
        """Hand a per-frame step the frame part of region values, a per-object step the part of its objects."""
        if self._per.get(need) != "region" or step.node.per == "region":
            return _plain(value)
        if step.node.per == "frame":
            return _map_rows(_plain(value), lambda t: t[: work.frames])
        place = torch.full((0 if work.objects is None else len(work.objects),), -1, dtype=torch.int64)
        place[work.picked] = torch.arange(len(work.picked))
        chosen = place if indices is None else place[indices]
        return _map_rows(_plain(value), lambda t: _picked(t[work.frames :], chosen))

    def _stacked(self, step: Step, env: dict[str, Any], work: Work) -> Any:
        """Run a step once per stack of equal-sized frames; a metric's results are put back in batch order."""
        if step.node.role == "feature":
            return _PerStack(step)
        pixels = work.roots["pixels"]
        assert isinstance(pixels, Pixels)  # noqa: S101 - `rgb` is cut from `pixels`, so the worker gives both
        result: Tensor | None = None
        null = torch.zeros(work.frames, dtype=torch.int8)
        for where, stack in pixels.stacks():
            inner = {**env, "rgb": stack}
            for need in step.needs:
                self._resolve(need, inner, work)
            value = self._guarded(step, inner, work, None)
            if isinstance(value, _Failed):
                return value
            if isinstance(value, Masked) and not _problem(step, value, len(where))[0]:
                null[where], value = value.codes().cpu(), value.value
            if not isinstance(value, Tensor) or value.shape != (len(where),):
                return value
            if result is None:
                result = torch.empty(work.frames, dtype=value.dtype)
            result[where] = value.detach().cpu()
        return result if result is None or not null.any() else Masked(result, null > 0, null)

    def _resolve(self, need: str, inner: dict[str, Any], work: Work) -> None:
        """Compute a stacked feature for the stack at hand, and what it needs before it."""
        value = inner.get(need)
        if isinstance(value, _PerStack):
            for deeper in value.step.needs:
                self._resolve(deeper, inner, work)
            inner.update(_named(value.step, self._guarded(value.step, inner, work, None)))

    def _keep(self, step: Step, value: Any, work: Work, rows: Rows, origin: int, indices: Tensor | None) -> None:
        """Turn a kept value into cells of the frame table, the object table, or both."""
        if step.name not in self.plan.keep:
            return
        per, total = step.node.per, 0 if work.objects is None else len(work.objects)
        if work.single is not None and work.frames > 1:
            expected = {"frame": work.frames, "region": work.frames + len(work.picked)}.get(per, total)
            if _problem(step, value, expected if indices is None or per == "frame" else len(indices))[0]:
                if step.name not in rows.isolated:
                    self._isolate(step, work, rows)
                return
        if per == "frame":
            name = step.name if origin == 0 or indices is None else f"{step.name}_{self.origins[origin]}"
            rows.frame[name] = self._cells(step, value, work.frames, rows, lambda i: (i, None), work, work.unsized)
        elif per == "classification":
            answers = work.roots["answers"]
            assert isinstance(answers, Answers)  # noqa: S101 - the planner gives such steps that root
            owner = answers.frame
            rows.answer[step.name] = self._cells(step, value, len(answers), rows, lambda i: (int(owner[i]), None), work)
        elif per == "region":
            cells = self._cells(step, value, work.frames + len(work.picked), rows, lambda i: _owner(i, work), work)
            rows.frame[step.name] = Cells(cells.value[: work.frames], cells.null[: work.frames])
            if work.objects is not None:
                whole = rows.object.setdefault(f"object_{step.name}", _empty(total, cells.value.dtype))
                whole.value[work.picked] = cells.value[work.frames :]
                whole.null[work.picked] = cells.null[work.frames :]
        elif indices is not None and work.objects is not None:
            owner = work.objects.frame
            unsized = None if work.unsized is None else work.unsized[owner[indices]]
            cells = self._cells(
                step, value, len(indices), rows, lambda i: (int(owner[indices[i]]), int(indices[i])), work, unsized
            )
            whole = rows.object.setdefault(step.name, _empty(total, cells.value.dtype, cells.value.shape[1:]))
            whole.value[indices] = cells.value.to(whole.value.dtype)
            whole.null[indices] = cells.null

    def _cells(
        self,
        step: Step,
        value: Any,
        expected: int,
        rows: Rows,
        owner: Callable[[int], tuple[int, int | None]],
        work: Work,
        unsized: Tensor | None = None,
    ) -> Cells:
        """Check a result against the metric's declaration; what does not fit becomes null with an error.

        Rows in `unsized` lie in frames of unknown size: they are null where that leaves no number.
        """
        null = torch.zeros(expected, dtype=torch.int8)
        problem, exc_type = _problem(step, value, expected)
        if isinstance(value, Masked) and not problem:
            null, value = value.codes().cpu(), value.value
        regions = work.roots.get("regions")
        if step.node.per == "region" and isinstance(regions, Regions):
            null = torch.where(regions.null.cpu() > 0, regions.null.cpu(), null)
        if problem:
            null = torch.where(null == 0, torch.full_like(null, -1), null)
            for row in (null == -1).nonzero().flatten().tolist():
                rows.errors.append(CellError(step.name, *owner(row), "internal", problem, exc_type))
            empty = torch.empty((expected, 0), dtype=torch.float16) if step.node.vector else torch.zeros(expected).double()
            return Cells(empty, null)
        value = value.detach().cpu()
        if step.node.vector:
            return self._vectors(step, value, null, rows, owner)
        if value.is_floating_point():
            if unsized is not None and step.name in self._sized:
                null[unsized & ~torch.isfinite(value) & (null == 0)] = 1 + NULL_REASONS.index("no_metadata")
            for row in (~torch.isfinite(value) & (null == 0)).nonzero().flatten().tolist():
                null[row] = -1
                detail = f"{step.name} is {value[row].item()}; return types.Masked where it is undefined"
                rows.errors.append(CellError(step.name, *owner(row), "non_finite", detail))
        return Cells(torch.where(null == 0, value, torch.zeros_like(value)), null)

    def _vectors(
        self, step: Step, value: Tensor, null: Tensor, rows: Rows, owner: Callable[[int], tuple[int, int | None]]
    ) -> Cells:
        """Vectors as they are stored; one that is not finite is an error, and NaN throughout as those without a value are."""
        broken = ~torch.isfinite(value).all(1) & (null == 0)
        for row in broken.nonzero().flatten().tolist():
            null[row] = -1
            rows.errors.append(CellError(step.name, *owner(row), "non_finite", f"{step.name} has no direction: not finite"))
        return Cells(torch.where((null == 0)[:, None], value.half(), torch.nan), null)

    def _isolate(self, step: Step, work: Work, rows: Rows) -> None:
        """Redo a failed column frame by frame, so that only the culprits lose their cells."""
        rows.isolated.add(step.name)
        rows.errors[:] = [error for error in rows.errors if error.metric != step.name]  # of an origin that is redone too
        single = work.single
        assert single is not None  # noqa: S101 - the caller checked
        lone = Stream(self.plan.only({step.name}), self.resources, self.origins)
        merged: list[Rows] = []
        for frame in range(work.frames):
            part = lone(single(frame))
            offset = 0 if work.objects is None else int((work.objects.frame < frame).sum())
            for error in part.errors:
                index = None if error.object is None else error.object + offset
                rows.errors.append(dataclasses.replace(error, frame=frame, object=index))
            merged.append(part)
        rows.frame.update(_concatenate([part.frame for part in merged]))
        rows.object.update(_concatenate([part.object for part in merged]))


class _PerStack:
    """A stacked feature, computed when a metric of the same stack asks for it."""

    def __init__(self, step: Step) -> None:
        self.step = step


def _named(step: Step, value: Any) -> dict[str, Any]:
    """The names a step's value goes by: its own, or those of its outputs."""
    if not step.node.gives or isinstance(value, _PerStack):
        return dict.fromkeys((step.name, *step.node.gives), value)
    if isinstance(value, _Failed):
        return dict.fromkeys(step.node.gives, value)
    return dict(value)


def _plain(value: Any) -> Any:
    """A masked result as other steps see it: NaN where it is undefined."""
    if isinstance(value, Masked) and value.value.ndim > 1:
        return torch.where(value.missing[:, None], torch.nan, value.value)
    if isinstance(value, Masked):
        return torch.where(value.missing, torch.nan, value.value.double())
    return value


def _map_rows(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """Apply a row selection to a tensor, or to every tensor of a struct."""
    if isinstance(value, Tensor):
        return change(value)
    return type(value)(*(change(getattr(value, part.name)) for part in dataclasses.fields(value)))


def _picked(values: Tensor, chosen: Tensor) -> Tensor:
    """Rows of `values`; where `chosen` is -1 (an object that is no region) NaN or 0."""
    result = values.new_full((len(chosen), *values.shape[1:]), torch.nan if values.is_floating_point() else 0)
    inside = chosen >= 0
    result[inside] = values[chosen[inside]]
    return result


def _select(objects: Objects | None, rows: Tensor) -> Objects | None:
    """The given rows of an objects struct."""
    if objects is None or len(rows) == len(objects):
        return objects
    return objects.select(rows)


def _owner(row: int, work: Work) -> tuple[int, int | None]:
    """Frame and object of a region."""
    if row < work.frames or work.objects is None:
        return row, None
    index = int(work.picked[row - work.frames])
    return int(work.objects.frame[index]), index


def _empty(rows: int, dtype: torch.dtype, shape: tuple[int, ...] = ()) -> Cells:
    """Cells without values; -2 marks rows nobody asked for."""
    blank = torch.nan if shape else 0
    return Cells(torch.full((rows, *shape), blank, dtype=dtype), torch.full((rows,), -2, dtype=torch.int8))


def _are_reasons(codes: Tensor, missing: Tensor) -> bool:
    """Whether every missing row has the code of a reason."""
    if codes.dtype != torch.int8 or codes.shape != missing.shape:
        return False
    return bool(((codes >= 1) & (codes <= len(NULL_REASONS)))[missing.bool()].all())


def _problem(step: Step, value: Any, expected: int) -> tuple[str, str]:
    """What is wrong with a result, in words that name the metric, what was found and the remedy; "" when nothing is."""
    if isinstance(value, Masked):
        if isinstance(value.reason, str) and value.reason not in NULL_REASONS:
            return f"{step.node.name} gives the reason {value.reason!r}; there are {', '.join(NULL_REASONS)}", "MetricError"
        if isinstance(value.reason, Tensor) and not _are_reasons(value.reason, value.missing):
            known = f"int8 from 1 to {len(NULL_REASONS)} beside values {tuple(value.value.shape)}"
            return f"{step.node.name} gives reasons that are no codes, expected {known}", "MetricError"
        if value.missing.dtype != torch.bool or value.missing.shape != value.value.shape[: value.missing.ndim]:
            unlike = f"{value.missing.dtype} {tuple(value.missing.shape)} beside values {tuple(value.value.shape)}"
            return f"{step.node.name} returned Masked.missing of {unlike}, expected bool of the same shape", "MetricError"
        value = value.value
    if isinstance(value, _Failed):
        return value.detail, value.exc_type
    rows = {"frame": "frame of the batch", "object": "object", "region": "region", "classification": "answer"}[step.node.per]
    if not isinstance(value, Tensor):
        return f"{step.node.name} returned {type(value).__name__}, expected a tensor with one value per {rows}", "MetricError"
    if step.node.vector:
        if value.ndim == 2 and len(value) == expected and value.dtype in VECTORS:
            return "", ""
        found = f"{value.dtype} {tuple(value.shape)}"
        return f"{step.node.name} returned {found}, expected float16 ({expected}, d): one vector per {rows}", "MetricError"
    if tuple(value.shape) != (expected,):
        shape = tuple(value.shape)
        return f"{step.node.name} returned shape {shape}, expected ({expected},): one value per {rows}", "MetricError"
    if value.dtype not in DTYPES:
        return f"{step.node.name} returned {value.dtype}, expected float64, float32, int64 or bool", "MetricError"
    return "", ""


def _concatenate(parts: Sequence[Mapping[str, Cells]]) -> dict[str, Cells]:
    """Cells of single frames, one after the other."""
    names = {name for part in parts for name in part}
    joined = {}
    for name in sorted(names):
        found = [part[name] for part in parts if name in part]
        dtype = found[0].value.dtype
        for cells in found:
            dtype = torch.promote_types(dtype, cells.value.dtype)
        if found[0].value.ndim > 1:
            found = _of_one_length(found)
        joined[name] = Cells(torch.cat([c.value.to(dtype) for c in found]), torch.cat([c.null for c in found]))
    return joined


def _of_one_length(parts: Sequence[Cells]) -> list[Cells]:
    """Vectors of batches, those that failed whole (no components) made as long as the others."""
    d = max(cells.value.shape[1] for cells in parts)
    return [c if c.value.shape[1] == d else Cells(c.value.new_full((len(c.null), d), torch.nan), c.null) for c in parts]
