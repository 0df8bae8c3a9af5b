"""Log lines: one each, and nothing in them that a client could use against who reads them."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distplusplus.server.log import JobLine, configure, log, log_job, printable

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


def test_json_holds_the_text_as_it_was(capsys: pytest.CaptureFixture[str]) -> None:
    configure("info", "json")
    log.info("%s", HOSTILE)
    assert json.loads(lines(capsys)[0])["message"] == HOSTILE


@given(st.text())
def test_printable(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable()
    assert shown == text or not text.isprintable()
