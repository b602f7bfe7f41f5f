"""XML files from anywhere, record by record: entities, external references, deep nesting and huge records are refused."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

DEEPEST: Final = 64
"""Levels of nesting; annotation files have about ten."""
LARGEST: Final = 1 << 28
"""Bytes of one record (a child of the root); a record is held in memory as a whole."""
_HEAD: Final = 1 << 16
_COMMENT: Final = re.compile(rb"<!--.*?(?:-->|$)", re.DOTALL)
_TAG: Final = re.compile(rb"<([A-Za-z_][A-Za-z0-9_.:-]*)")


class XmlError(ValueError):
    """The file cannot be read as XML, or does what no annotation file needs to do; the text says what and where."""


def records(path: Path) -> Iterator["tuple[Element, Element]"]:
    """The root, as far as it is known, and every child of it, one at a time.

    Memory holds one child. Raises `XmlError` where the text ends early, is not XML, or is hostile; `OSError` as the file does.
    """
    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import ParseError

    with path.open("rb") as file:
        try:
            yield from _children(file)
        except ParseError as error:
            raise XmlError(str(error)) from None
        except DefusedXmlException as error:
            raise XmlError(f"it declares an entity, which may grow without bound or name other files: {error}") from None
        except (LookupError, UnicodeError) as error:
            raise XmlError(f"its encoding cannot be read: {error}") from None


def _children(file: BinaryIO) -> Iterator["tuple[Element, Element]"]:
    from defusedxml.ElementTree import iterparse

    stack: list[Element] = []
    begun = 0
    for event, element in iterparse(file, ("start", "end")):
        if event == "start":
            stack.append(element)
            if len(stack) > DEEPEST:
                raise XmlError(f"elements are nested more than {DEEPEST} deep")
            continue
        stack.pop()
        if len(stack) == 1:
            yield stack[0], element
            del stack[0][:]
            begun = file.tell()
        elif file.tell() - begun > LARGEST:
            raise XmlError(f"one record has more than {LARGEST >> 20} MB")


def root_tag(path: Path) -> str:
    """Tag of the root element, "" where the file is no XML; reads the first 64 KB."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError:
        return ""
    found = _TAG.search(_COMMENT.sub(b"", head.replace(b"\0", b"")))  # without zero bytes UTF-16 is read too
    return found[1].decode() if found else ""


def text_of(element: "Element", name: str) -> str | None:
    """Text of a child without the space around it, None where there is none."""
    found = element.findtext(name)
    return found.strip() or None if found is not None else None


def number_of(text: str | None) -> float:
    """A number written in XML; NaN for what is none."""
    try:
        return float(text) if text is not None else float("nan")
    except ValueError:
        return float("nan")


def side_of(text: str | None) -> int | None:
    """A width or height in pixels where it can be one."""
    number = number_of(text)
    return int(number) if 1 <= number < 2**31 else None
