"""XML from anywhere: hostile and broken files end in one clear problem."""

from pathlib import Path

import pytest

from gpu_quality.data.formats import xml_records
from gpu_quality.data.formats.xml_records import XmlError, number_of, records, root_tag, side_of


def children(path: Path) -> list[str]:
    return [child.tag for _, child in records(path)]


@pytest.fixture
def written(tmp_path: Path):
    def write(data: str | bytes) -> Path:
        path = tmp_path / "a.xml"
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
        return path

    return write


def test_children_come_one_at_a_time(written) -> None:
    path = written("<?xml version='1.0'?><r k='v'>" + "<a>1</a><b><c/></b>" * 3000 + "</r>")
    seen = []
    for root, child in records(path):
        assert (root.tag, root.get("k")) == ("r", "v")
        assert len(root) < 4000  # only what was parsed ahead, the rest is gone
        seen.append(child.tag)
    assert seen == ["a", "b"] * 3000


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("", "no element found"),
        ("not xml", "syntax error: line 1"),
        ("<r><a>", "no element found"),
        ("<r></a></r>", "mismatched tag: line 1"),
        ('<!DOCTYPE r [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><r>&b;</r>', "declares an entity"),
        ('<!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd">]><r>&x;</r>', "declares an entity"),
        ('<!DOCTYPE r [<!ENTITY % p SYSTEM "http://example.org/x">%p;]><r/>', "declares an entity"),
        ("<r>" + "<a>" * 100 + "</a>" * 100 + "</r>", "nested more than 64 deep"),
        ('<?xml version="1.0" encoding="klingon"?><r/>', "encoding"),
        (b"<r>\xff\xfe</r>", "not well-formed"),
    ],
)
def test_broken_and_hostile_files(written, data: str | bytes, message: str) -> None:
    with pytest.raises(XmlError, match=message):
        children(written(data))


def test_a_record_has_a_largest_size(written, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xml_records, "LARGEST", 1000)
    assert children(written("<r>" + "<a><b/></a>" * 9 + "</r>")) == ["a"] * 9
    with pytest.raises(XmlError, match="one record has more than"):
        children(written("<r><a>" + "<b/>" * 100_000 + "</a></r>"))


def test_a_doctype_alone_is_no_harm(written) -> None:
    assert children(written('<!DOCTYPE annotation SYSTEM "voc.dtd"><annotation><object/></annotation>')) == ["object"]


@pytest.mark.parametrize(
    ("data", "tag"),
    [
        ("<annotation><folder/>", "annotation"),
        ("\ufeff<?xml version='1.0'?>\n<!-- <annotations> -->\n<annotation v='1'>", "annotation"),
        ("<!DOCTYPE annotations><annotations>", "annotations"),
        ("text", ""),
        ("<!-- never closed <annotation>", ""),
        ("", ""),
    ],
)
def test_the_root_is_told_from_the_beginning(written, data: str, tag: str) -> None:
    assert root_tag(written(data)) == tag


def test_the_root_of_other_encodings_and_of_nothing(written, tmp_path: Path) -> None:
    assert root_tag(written("<?xml version='1.0' encoding='utf-16'?><annotations/>".encode("utf-16"))) == "annotations"
    assert root_tag(tmp_path) == ""
    assert root_tag(tmp_path / "absent") == ""


def test_numbers() -> None:
    assert (number_of("1.5"), number_of(" 2 ")) == (1.5, 2.0)
    assert all(number != number for number in (number_of(None), number_of("x"), number_of("")))
    assert [side_of(text) for text in ("640", "0", "-1", "nan", "inf", "1e99", None)] == [640, *[None] * 6]
