"""Logging: levels trace to fatal, as text or as JSON lines, and one line a job."""

from __future__ import annotations

import json
import logging
import sys
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

TRACE = 5
_LEVELS = {
    "trace": TRACE,
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "fatal": logging.CRITICAL,
}
_NAMES = {number: name for name, number in _LEVELS.items()}

log = logging.getLogger("distplusplusd")


@dataclass(frozen=True)
class JobLine:
    """What became of one Distribute call. Times in ms; queue_ms is the wait for the slot."""

    client: str
    user: str
    compiler: str
    file: str
    result: str
    reason: str
    queue_ms: int
    transfer_ms: int
    compile_ms: int
    input_bytes: int
    output_bytes: int


def log_job(line: JobLine) -> None:
    """One line, at info. In text, names are quoted so that a client cannot forge lines."""
    if log.isEnabledFor(logging.INFO):
        log.info("job", extra={"job": line})


def configure(level: str, form: str) -> None:
    """Logs to standard error, from `level` up."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if form == "json" else _Text())
    log.handlers = [handler]
    log.propagate = False
    log.setLevel(_LEVELS[level])
    # What gRPC's Python side says of a call that broke.
    logging.getLogger("grpc").handlers = [handler]
    logging.getLogger("grpc").propagate = False
    handler.addFilter(_is_harmless)


def _is_harmless(record: logging.LogRecord) -> bool:
    """Whether a record may be written. gRPC logs metadata that is not UTF-8 as it is: a token, perhaps."""
    return not str(record.msg).startswith("Invalid encoding on")


def printable(text: str) -> str:
    """`text` on one line, and nothing in it that a terminal would act on."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        name = _NAMES.get(record.levelno, record.levelname.lower())
        text = printable(record.getMessage())
        job: JobLine | None = getattr(record, "job", None)
        if job is not None:
            text = "job " + " ".join(f"{key}={_quoted(value)}" for key, value in asdict(job).items() if value != "")
        if record.exc_info:
            text += "".join("\n" + printable(line) for line in self.formatException(record.exc_info).splitlines())
        return f"{_time(record)} {name}: {text}"


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "time": _time(record),
            "level": _NAMES.get(record.levelno, record.levelname.lower()),
            "message": record.getMessage(),
        }
        job: JobLine | None = getattr(record, "job", None)
        if job is not None:
            entry |= asdict(job)
        if record.exc_info:
            entry["trace"] = self.formatException(record.exc_info)
        return json.dumps(entry)


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def _quoted(value: str | int) -> str:
    text = str(value)
    return text if text.isprintable() and not set(' "=') & set(text) else json.dumps(text)
