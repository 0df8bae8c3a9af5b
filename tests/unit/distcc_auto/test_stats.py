"""What is read from a --stats reply, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distcc_auto.stats import MAX_KIDS, StatsError, WorkerStats, parse

# As distccd 3.4 of Debian 12 sends it.
REAL_REPLY = b"""HTTP/1.0 200 OK
Content-Type: text/plain
Connection: close

argv /distccd
<distccstats>
dcc_tcp_accept 3
dcc_rej_bad_req 0
dcc_rej_overload 0
dcc_compile_ok 17
dcc_compile_error 0
dcc_compile_timeout 0
dcc_cli_disconnect 0
dcc_other 0
dcc_longest_job none
dcc_longest_job_compiler none
dcc_longest_job_time_msecs -1
dcc_max_kids 8
dcc_avg_kids1 0
dcc_avg_kids2 0
dcc_avg_kids3 0
dcc_current_load 2
dcc_load1 0.03
dcc_load2 0.12
dcc_load3 0.06
dcc_num_compiles1 0
dcc_num_compiles2 0
dcc_num_compiles3 0
dcc_num_procstate_D 0
dcc_max_RSS 14132
dcc_max_RSS_name (python3)
dcc_io_rate -1
dcc_free_space 81670 MB
</distccstats>
"""


def reply(body: str) -> bytes:
    return f"<distccstats>\n{body}\n</distccstats>\n".encode()


def test_the_reply_of_a_real_distccd_is_read() -> None:
    stats = parse(REAL_REPLY)
    assert stats == WorkerStats(max_kids=8, loads=(0.03, 0.12, 0.06), free_memory_mib=None, compile_ok=17)
    assert stats.average_load == pytest.approx(0.07)


def test_free_memory_is_read_where_it_is_reported() -> None:
    assert parse(reply("dcc_max_kids 4\ndcc_free_mem 5120 MB")).free_memory_mib == 5120


@pytest.mark.parametrize("value", ["", "lots", "-1 MB", "1.5 MB", "9" * 30])
def test_free_memory_that_is_no_number_counts_as_not_reported(value: str) -> None:
    assert parse(reply(f"dcc_max_kids 4\ndcc_free_mem {value}")).free_memory_mib is None


@pytest.mark.parametrize("value", ["nan", "inf", "-1", "busy", ""])
def test_a_load_that_is_no_number_counts_as_not_reported(value: str) -> None:
    stats = parse(reply(f"dcc_max_kids 4\ndcc_load1 {value}\ndcc_load2 1.0\ndcc_load3 3.0"))
    assert stats.loads == (None, 1.0, 3.0)
    assert stats.average_load == 2.0


def test_carriage_returns_and_missing_headers_are_fine() -> None:
    assert parse(reply("dcc_max_kids 4").replace(b"\n", b"\r\n")) == WorkerStats(4)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "without <distccstats>"),
        (b"HTTP/1.0 404 Not Found\r\n\r\n<html>", "without <distccstats>"),
        (REAL_REPLY[:300], "only half"),
        (reply("dcc_load1 1"), "without dcc_max_kids"),
        (reply("dcc_max_kids"), "dcc_max_kids ''"),
        (reply("dcc_max_kids -3"), "dcc_max_kids '-3'"),
        (reply("dcc_max_kids many"), "dcc_max_kids 'many'"),
        (reply("dcc_max_kids 8.5"), "dcc_max_kids '8.5'"),
        (reply(f"dcc_max_kids {MAX_KIDS + 1}"), f"dcc_max_kids '{MAX_KIDS + 1}'"),
        (reply("dcc_max_kids " + "9" * 5000), "dcc_max_kids '9"),
    ],
)
def test_nonsense_is_refused_with_what_is_wrong(data: bytes, said: str) -> None:
    with pytest.raises(StatsError, match=said):
        parse(data)


@given(st.binary() | st.binary().map(lambda body: b"<distccstats>" + body + b"</distccstats>"))
def test_any_bytes_are_either_statistics_or_a_stats_error(data: bytes) -> None:
    try:
        stats = parse(data)
    except StatsError:
        return
    assert 0 <= stats.max_kids <= MAX_KIDS


@given(st.integers(0, MAX_KIDS), st.integers(0, 1 << 40), st.floats(0, 1e6))
def test_what_is_reported_is_what_is_read(kids: int, free_mib: int, load: float) -> None:
    stats = parse(reply(f"dcc_max_kids {kids}\ndcc_free_mem {free_mib} MB\ndcc_load1 {load!r}"))
    assert (stats.max_kids, stats.free_memory_mib, stats.loads[0]) == (kids, free_mib, load)
