"""Piecewise JSON against the whole, with pieces so small that every border is met."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gpu_quality.data.formats import json_records
from gpu_quality.data.formats.json_records import read_pieces
from gpu_quality.errors import UsageError

value = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 99) | st.floats(allow_nan=False) | st.text('},{[]":\\ a\n', max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text('}{,"\\a', max_size=3), inner, max_size=3),
    max_leaves=6,
)
record = st.dictionaries(st.sampled_from(["id", "bbox", "a}", 'b"']), value, max_size=3)
document = st.dictionaries(st.text('k{}[],"\\', max_size=4), st.lists(record, max_size=12) | value, max_size=4)


def together(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for piece in read_pieces(path):
        if piece.records is None:
            found[piece.key] = None
        else:
            assert piece.first == len(found.setdefault(piece.key, []))
            found[piece.key] += piece.records
    return found


@given(document | st.lists(record, max_size=12), st.sampled_from([None, 1]), st.sampled_from([8, 40, 4096]))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_pieces_make_up_the_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: Any, indent: int | None, size: int
) -> None:
    monkeypatch.setattr(json_records, "PIECE", size)
    monkeypatch.setattr(json_records, "_LONGEST_KEY", 64)
    path = tmp_path / "a.json"
    path.write_text(json.dumps(data, indent=indent, ensure_ascii=False))
    expected = data if isinstance(data, dict) else {"": data}
    assert together(path) == {k: v if isinstance(v, list) else None for k, v in expected.items()}


@pytest.mark.parametrize("size", [4, 64, 4096])
@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "x",
        "3",
        '"text"',
        "{",
        "[",
        '{"a"',
        '{"a":',
        '{"a": [',
        '{"a": [{"b": 1}',
        '{"a": [{"b": 1},',
        '{"a": [{"b": 1}, ]}',
        '{"a": [{"b": 1}]',
        '{"a": [{"b": 1}],',
        '{"a": [{"b": 1}] "c": 2}',
        '{"a": [{"b": 1}], }',
        '{"a": [1} ]}',
        '{"a": [1}}',
        '{"a": 1]',
        '{"a": {"b": 1]}',
        '{"a": 1',
        '{"a": tru}',
        '[{"a": 1}] x',
        '[{"a": 1}, {"a" 1}, {"a": 1}]',
        "{a: 1}",
        '[{"a": "\\x"}]',
        "[" * 5000,
    ],
)
def test_what_is_no_json_is_told_with_file_and_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, size: int
) -> None:
    monkeypatch.setattr(json_records, "PIECE", size)
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(UsageError, match=r"a\.json is not readable JSON: byte \d+: \S"):
        list(read_pieces(path))


def test_the_byte_is_the_one_that_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    start = '{"info": {"é": 1}, "images": [{"id": 1}, {"id": '
    path.write_text(start + "wrong}]}", encoding="utf-8")
    with pytest.raises(UsageError, match=f"byte {len(start.encode())}:"):
        list(read_pieces(path))
    path.write_bytes(b'[{"id": "\xff"}]')
    with pytest.raises(UsageError, match="byte 9: a text that is not UTF-8"):
        list(read_pieces(path))


def test_nan_and_a_byte_order_mark_are_let_through(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b'\xef\xbb\xbf{"a": [{"b": NaN}, {"b": -Infinity}]}')
    (piece,) = read_pieces(path)
    assert piece.records is not None
    assert repr(piece.records) == "[{'b': nan}, {'b': -inf}]"


def test_half_a_character_becomes_a_question_mark(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(r'[{"b\uDC00": ["\ud800", "\ud83d\ude00", NaN]}]')
    assert repr(together(path)) == "{'': [{'b?': ['?', '😀', nan]}]}"
