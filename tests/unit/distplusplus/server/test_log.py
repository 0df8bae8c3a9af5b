"""Log lines: one each, and nothing in them that a client could use against who reads them."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distplusplus.server.log import TRACE, JobLine, configure, log, log_job, printable

HOSTILE = "a\x1b]0;owned\x07\x1b[2J\nforged: line\r\x9b31m\u202e"


@pytest.fixture(autouse=True)
def loggers_as_before() -> Iterator[None]:
    loggers = log, logging.getLogger("grpc")
    before = [(logger.handlers, logger.propagate, logger.level) for logger in loggers]
    yield
    for logger, state in zip(loggers, before, strict=True):
        logger.handlers, logger.propagate, logger.level = state


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    text = capsys.readouterr().err
    assert text.replace("\n", "").isprintable(), text
    return text.splitlines()


@pytest.mark.parametrize("form", ["text", "json"])
def test_text_of_a_client_is_one_printable_line(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    configure("info", form)
    log.info("refused: %s", HOSTILE)
    log_job(JobLine("c", HOSTILE, "gcc", HOSTILE, "ok", HOSTILE, 0, 0, 0, 0, 0))
    assert len(lines(capsys)) == 2


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_fault_is_logged_with_its_trace(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    configure("info", form)
    try:
        raise ValueError(HOSTILE)
    except ValueError:
        log.exception("fault")
    written = lines(capsys)
    assert "ValueError" in "".join(written)
    assert len(written) == 1 if form == "json" else len(written) > 2


@pytest.mark.parametrize("form", ["text", "json"])
def test_metadata_that_is_not_text_is_not_logged(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    """As grpc/_cython/_cygrpc/metadata.pyx.pxi does it."""
    configure("info", form)
    try:
        b"Bearer secret\xff".decode()
    except UnicodeDecodeError:
        logging.getLogger("grpc._cython.cygrpc").exception("Invalid encoding on %s", b"Bearer secret\xff")
    logging.getLogger("grpc._cython.cygrpc").error("something else")
    assert len(lines(capsys)) == 1


JOB = JobLine("192.0.2.7", "me", "gcc", 'a "b" c=1.c', "refused", "", 1, 2, 3, 4, 5)


def test_a_job_in_text_has_each_value_once_and_quoted_where_it_must_be(capsys: pytest.CaptureFixture[str]) -> None:
    configure("info", "text")
    log_job(JOB)
    (line,) = lines(capsys)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z info: job .*", line)
    assert line.partition(" job ")[2] == (
        r'client=192.0.2.7 user=me compiler=gcc file="a \"b\" c=1.c" result=refused'
        " queue_ms=1 transfer_ms=2 compile_ms=3 input_bytes=4 output_bytes=5"
    )


def test_a_job_in_json_has_all_values(capsys: pytest.CaptureFixture[str]) -> None:
    configure("info", "json")
    log_job(JOB)
    entry = json.loads(lines(capsys)[0])
    assert entry["level"] == "info"
    assert asdict(JOB).items() <= entry.items()


@pytest.mark.parametrize(("level", "written"), [("trace", 3), ("info", 2), ("warning", 1), ("fatal", 0)])
def test_what_is_below_the_level_is_not_logged(level: str, written: int, capsys: pytest.CaptureFixture[str]) -> None:
    configure(level, "text")
    log.log(TRACE, "a trifle")
    log_job(JOB)
    log.warning("a warning")
    assert len(lines(capsys)) == written


def test_json_holds_the_text_as_it_was(capsys: pytest.CaptureFixture[str]) -> None:
    configure("info", "json")
    log.info("%s", HOSTILE)
    assert json.loads(lines(capsys)[0])["message"] == HOSTILE


@given(st.text())
def test_printable(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable()
    assert shown == text or not text.isprintable()
