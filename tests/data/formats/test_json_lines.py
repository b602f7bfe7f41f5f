"""Newline-delimited JSON: a bad line does not stop the others."""

from pathlib import Path

import pytest

from gpu_quality.data.formats import json_lines as module
from gpu_quality.data.formats.json_lines import json_lines
from gpu_quality.errors import UsageError


def test_lines_and_bad_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LONGEST", 100)
    path = tmp_path / "a.ndjson"
    lines = [b'\xef\xbb\xbf{"a": 1}', b"", b"{", b"[1]", b'{"b": "' + b"x" * 200 + b'"}', b'{"c": "\xff"}', b'  {"d": 4}\r']
    path.write_bytes(b"\n".join(lines))
    found = dict(json_lines(path))
    assert found[1] == {"a": 1}
    assert "not JSON" in str(found[3])
    assert "no JSON object" in str(found[4])
    assert "longer than" in str(found[5])
    assert "not JSON" in str(found[6])
    assert found[7] == {"d": 4}
    assert sorted(found) == [1, 3, 4, 5, 6, 7]


def test_a_list_is_read_too(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('\n[{"a": 1},\n 2, {"b": 3}]')
    assert list(json_lines(path)) == [(0, {"a": 1}), (1, "the record is no JSON object"), (2, {"b": 3})]


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        list(json_lines(tmp_path / "absent"))
    (tmp_path / "broken.json").write_text("[{")
    with pytest.raises(UsageError, match="not readable JSON"):
        list(json_lines(tmp_path / "broken.json"))
