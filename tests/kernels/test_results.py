"""Detections straight from text: every number as a parser reads it, and nothing that a parser would read otherwise."""

import json
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpu_quality.kernels.results import cpu, results
from gpu_quality.kernels.threads import set_threads


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    yield
    set_threads(None)


def one(numbers: list[str], image: str = "1", score: str = "0.5", more: str = "") -> bytes:
    return f'[{{"image_id":{image},"category_id":2,"bbox":[{",".join(numbers)}],"score":{score}{more}}}]'.encode()


def texts_of(value: float) -> list[str]:
    return [repr(value), f"{value:.17g}", f"{value:.16e}", f"{value:.6f}", repr(float(np.float32(value)))]


@given(st.one_of(st.floats(-1e12, 1e12), st.floats(0, 1, allow_subnormal=False), st.integers(-(2**59), 2**59).map(float)))
@settings(max_examples=500, deadline=None)
def test_numbers_are_those_of_a_parser(value: float) -> None:
    for text in texts_of(value):
        found = results(one([text] * 4, score=text))
        if found is None:  # left to a parser: many digits, or very small
            assert len(text) > 17 or abs(float(text)) < 1e-5
        else:
            assert found.bbox.tolist() == [[float(text)] * 4]
            assert found.score.tolist() == [float(text)]


@pytest.mark.parametrize(
    "text",
    ["9007199254740993", "9007199254740993.0", "4503599627370496.5", "4503599627370497.5", "-0.0", "0", "0.0", "1E5", "1e-05",
     "0.1e+1", "123456789012345678", "41.290000915527344", "0.30000000000000004", "5e22", "8.5e-26", "0.0010101010101010102",
     "1e23", "17.5e-3"],
)  # fmt: skip
def test_numbers_on_the_edge(text: str) -> None:
    found = results(one([text] * 4))
    assert found is not None
    assert np.array_equal(found.bbox, [[float(text)] * 4])
    assert np.signbit(found.bbox[0, 0]) == np.signbit(float(text))


def test_ties_between_doubles_go_to_the_even_one() -> None:
    rng = np.random.default_rng(0)
    for whole in rng.integers(2**52, 2**53, 300).tolist():
        for text in (f"{whole}.5", str(2 * whole + 1), f"{whole}.50000001"):
            found = results(one([text] * 4))
            if found is not None:
                assert found.bbox[0, 0] == float(text)


WRONG = [
    b"", b"[", b"]", b"{}", b"[]", b"[ ]", b"[1]", b"[{}]", b"nonsense", b"[[1]]",
    one(["1", "2", "3"]), one(["1"] * 5), one([]), one(["1", "2", "3", "null"]), one(["01", "2", "3", "4"]),
    one(["1.", "2", "3", "4"]), one([".5", "2", "3", "4"]), one(["+1", "2", "3", "4"]), one(["1e", "2", "3", "4"]),
    one(["NaN", "2", "3", "4"]), one(["1e400", "2", "3", "4"]), one(["--1", "2", "3", "4"]), one(["1" * 30, "2", "3", "4"]),
    one(["1"] * 4, image="1.0"), one(["1"] * 4, image='"1"'), one(["1"] * 4, image="1e2"), one(["1"] * 4, image="9" * 25),
    one(["1"] * 4, score="null"), one(["1"] * 4, score='"1"'),
    one(["1"] * 4)[:-1], one(["1"] * 4)[:-2] + b"]", one(["1"] * 4) + b"x", one(["1"] * 4)[:-1] + b",]", b"[,]",
    one(["1"] * 4, more=',"a":{"b":1}'), one(["1"] * 4, more=',"a":"\\u0041"'), one(["1"] * 4, more=',"a":"\n"'),
    one(["1"] * 4, more=',"a":"\xc3\xa4"'), one(["1"] * 4, more=',"a":[1,]'), one(["1"] * 4, more=',"a":tru'),
    one(["1"] * 4, more=',"a"'), one(["1"] * 4, more=","), one(["1"] * 4, more=',"a":'), one(["1"] * 4, more=',"a":-'),
    b'[{"image_id":1,"category_id":2,"score":1}]', b'[{"image_id":1,"category_id":2,"bbox":[1,2,3,4]}]',
]  # fmt: skip


@pytest.mark.parametrize("text", WRONG)
def test_whatever_is_not_plain_is_left_to_a_parser(text: bytes) -> None:
    assert results(text) is None


@given(st.binary(max_size=60), st.integers(0, 90))
@settings(max_examples=300, deadline=None)
def test_any_bytes_anywhere(noise: bytes, at: int) -> None:
    text = one(["1", "2.5", "3", "4"])
    text = text[:at] + noise + text[at:]
    found = results(text)
    if found is not None:
        parsed = json.loads(text)
        assert [record["score"] for record in parsed] == found.score.tolist()
        assert [record["bbox"] for record in parsed] == found.bbox.tolist()
        assert [record["image_id"] for record in parsed] == found.image_id.tolist()


def test_other_members_and_white_space_are_passed_over() -> None:
    text = b""" [ { "id" : 5, "image_id" :\t-7 ,"name": "a } b ] c", "area": 1e3, "flag": true, "none": null,
      "off" : false, "points": [ 1 , 2.5 ], "empty": [ ], "score": 0.25, "bbox" : [ 1 , 2 , 3.5 , -4 ] , "category_id" : 3 ,
      "image_id": 8 } ] """
    found = results(text)
    assert found is not None
    assert (found.image_id.tolist(), found.category_id.tolist()) == ([8], [3])  # of two with one name the last
    assert (found.bbox.tolist(), found.score.tolist()) == ([[1.0, 2.0, 3.5, -4.0]], [0.25])
    assert len(found) == 1


@pytest.mark.parametrize("part", [1, 30, 333, 10**6])
@pytest.mark.parametrize("threads", [1, 3])
def test_where_the_text_is_cut_does_not_matter(part: int, threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu, "PART", part)
    set_threads(threads)
    records = [
        {"image_id": i, "category_id": i % 7, "bbox": [i / 3, 0, 1, 2], "score": i / 99, "note": "},{" if i % 5 else "x"}
        for i in range(99)
    ]
    for separators in ((",", ":"), (", ", ": ")):
        found = results(json.dumps(records, separators=separators).encode())
        if found is not None:  # a cut inside a text is seen
            assert found.image_id.tolist() == list(range(99))
            assert found.bbox.tolist() == [record["bbox"] for record in records]
    plain = results(json.dumps([{**record, "note": "x"} for record in records]).encode())
    assert plain is not None
    assert plain.score.tolist() == [record["score"] for record in records]
