"""What came of the tests of a config, for people, for programs and for a build server."""

import re
from collections.abc import Iterator
from xml.etree import ElementTree

import msgspec
from msgspec import Struct

from sidecar.app.outcomes import Difference
from sidecar.errors import Finding

# What XML 1.0 cannot hold, not even escaped.
_UNFIT = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class CaseResult(Struct, frozen=True):
    """What came of one test."""

    name: str
    line: int
    """Where it begins in its file; 0 where the format gives no lines."""
    differences: tuple[Difference, ...]
    """Empty when it passed."""


class Report(Struct, frozen=True):
    """What came of all tests."""

    file: str
    """The file of the tests."""
    results: tuple[CaseResult, ...]
    unreached: tuple[Finding, ...]
    """Parts of the fallback chain that no test reaches; not looked for when only some ran."""

    @property
    def failed(self) -> int:
        """Count the tests that did not pass."""
        return sum(bool(result.differences) for result in self.results)


def as_text(report: Report) -> str:
    """Write a line for each test, what differs below those that failed, and a summary."""
    return "\n".join((*_lines(report), *_unreached(report), "", _summary(report)))


def as_json(report: Report) -> str:
    """Write all of it as one object, on one line."""
    return msgspec.json.encode(report).decode()


def as_junit(report: Report) -> bytes:
    """Write it as build servers read it: JUnit's XML.

    Each test is a test case. So is each part of the fallback chain that none reaches, a failed
    one; leave them out of the report where they are allowed.
    """
    suite = ElementTree.Element("testsuite", name=_fit(report.file))
    for result in report.results:
        _add_case(suite, report.file, result.name, "\n".join(map(_told, result.differences)))
    for finding in report.unreached:
        _add_case(suite, report.file, f"{finding.path} is reached", finding.message)
    failures = report.failed + len(report.unreached)
    suite.set("tests", str(len(suite)))
    suite.set("failures", str(failures))
    root = ElementTree.Element("testsuites")
    root.append(suite)
    ElementTree.indent(root)
    text: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return text + b"\n"


def _lines(report: Report) -> Iterator[str]:
    for result in report.results:
        where = f"  ({report.file}:{result.line})" if result.line else ""
        yield f"FAIL  {result.name}{where}" if result.differences else f"ok    {result.name}"
        for difference in result.differences:
            yield f"        {_told(difference)}"


def _unreached(report: Report) -> Iterator[str]:
    if report.unreached:
        yield "\nNot reached:"
    for finding in report.unreached:
        yield f"  {finding.path}: {finding.message}"


def _summary(report: Report) -> str:
    count = len(report.results)
    parts = [f"{count - report.failed} passed"]
    if report.failed:
        parts.append(f"{report.failed} failed")
    if report.unreached:
        parts.append(f"{len(report.unreached)} of the fallback chain not reached")
    return f"{count} test{'s' if count != 1 else ''}: {', '.join(parts)}"


def _told(difference: Difference) -> str:
    expected, got = _shown(difference.expected), _shown(difference.got)
    return f"{difference.field}: expected {expected}, got {got}"


def _shown(value: object) -> str:
    """Write text as it is, and everything else as JSON, where none is null."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _add_case(suite: ElementTree.Element, file: str, name: str, failure: str) -> None:
    case = ElementTree.SubElement(suite, "testcase", classname=_fit(file), name=_fit(name))
    if failure:
        first, *_ = failure.splitlines()
        ElementTree.SubElement(case, "failure", message=_fit(first)).text = _fit(failure)


def _fit(text: str) -> str:
    return _UNFIT.sub("\ufffd", text)
