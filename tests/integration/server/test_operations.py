"""Running it: options, addresses, logs, health, metrics, --check, signals, systemd."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import threading
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import psutil
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from distplusplus.protocol import distplusplus_pb2 as pb
from tests.integration.server.harness import PROGRAM, Server, ended, endless, refused, until

pytestmark = pytest.mark.long

Code = grpc.StatusCode
Start = Callable[..., Server]


def test_several_addresses(start: Start) -> None:
    directory = Path(subprocess.check_output(["mktemp", "-d"], text=True).strip())
    directory.chmod(0o777)
    try:
        path = directory / "server.sock"
        server = start("--listen-address", f"unix:{path}", "--listen-address", "[::1]:0")
        assert len(server.addresses) == 3
        for address in server.addresses:
            assert server.client(address=address).object()
        assert server.addresses[1] == f"unix:{path}"
    finally:
        subprocess.run(["rm", "-rf", str(directory)], check=True)


def test_the_environment_comes_first(start: Start) -> None:
    server = start(
        "--jobs",
        "7",
        address="not an address",
        DISTPLUSPLUS_JOBS="3",
        DISTPLUSPLUS_LISTEN_ADDRESS="127.0.0.1:0,[::1]:0",
        DISTPLUSPLUS_COMPRESS="NONE",
    )
    assert len(server.addresses) == 2
    client = server.client()
    assert client.query(pb.ServerQuery(), timeout=5).maxJobs == 3
    assert client.compile().outputFile.compressionType == pb.NONE


WRONG = """
--jobs 0|--jobs many|--log-level loud|--compress gzip|--compression-level 99|--max-input 0|--log-format xml
--reservation-timeout -1|--reservation-timeout nan|--listen-address nowhere|--listen-address :3634|--unknown
--listen-address 127.0.0.1:99999|--listen-address unix:relative|--job-dir relative|--job-dir
/no/such/directory
--metrics-address 3634|operand|--job
"""


@pytest.mark.parametrize("options", re.split(r"[|\n]", WRONG.strip()))
def test_values_are_checked(options: str) -> None:
    words = options.split()
    status, message = ended(*words)
    assert status == 96
    assert message.startswith("distplusplusd: ")
    assert words[0].strip("-") in message
    assert message.count("\n") == 1


def test_a_value_in_the_environment_is_checked() -> None:
    status, message = ended(DISTPLUSPLUS_COMPRESSION_LEVEL="best")
    assert status == 96
    assert "DISTPLUSPLUS_COMPRESSION_LEVEL: 'best'" in message


def test_an_address_that_is_in_use() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        status, message = ended("--listen-address", address)
    assert status == 96
    assert address in message
    assert "in use" in message.lower()


def test_check() -> None:
    done = subprocess.run([PROGRAM, "--check", "--jobs", "5"], capture_output=True, text=True, timeout=60, check=True)
    assert "slots:      5, from --jobs" in done.stdout
    assert re.search(r"^    gcc +GCC \d+\.\d+\.\d+ \S+ [0-9a-f]{12}  /usr/bin/\S+$", done.stdout, re.M)
    assert re.search(r"^    clang\+\+ +CLANG ", done.stdout, re.M)
    assert re.search(r"^runs as:    (?!root)\w+$", done.stdout, re.M)
    assert "confined:" in done.stdout


def test_check_tells_why_a_compiler_is_not_usable(tmp_path: Path) -> None:
    (tmp_path / "gcc-99").symlink_to("/no/such/gcc")
    (tmp_path / "tool").symlink_to("/bin/true")
    command = [PROGRAM, "--check", "--compiler-dir", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert re.search(r"gcc-99 +not usable: the link leads to no compiler", done.stdout)
    assert re.search(r"tool +not usable: .*neither GCC nor clang", done.stdout)


def test_a_line_for_each_job_in_text_and_json(start: Start) -> None:
    text, as_json = start(), start("--log-format", "json")
    for server in (text, as_json):
        client = server.client()
        client.object(name='forged" result=ok.c')
        with refused(Code.INVALID_ARGUMENT, pb.Refusal.ARGUMENT_NOT_ALLOWED):
            client.compile(arguments=["-fplugin=x", "-c"])
    lines = [line for line in text.log.splitlines() if " job " in line]
    assert len(lines) == 2
    assert 'file="forged\\" result=ok.c" result=ok ' in lines[0]
    assert "result=ARGUMENT_NOT_ALLOWED reason=" in lines[1]
    entries: list[dict[str, Any]] = [json.loads(line) for line in as_json.log.splitlines()]
    jobs = [entry for entry in entries if "compiler" in entry]
    assert [job["result"] for job in jobs] == ["ok", "ARGUMENT_NOT_ALLOWED"]
    assert jobs[0].keys() == {
        "time", "level", "message", "client", "user", "compiler", "file", "result", "reason", "queue_ms",
        "transfer_ms", "compile_ms", "input_bytes", "output_bytes",
    }  # fmt: skip


def test_levels(start: Start) -> None:
    server = start()
    quiet = start("--reservation-timeout", "0.1", DISTPLUSPLUS_LOG_LEVEL="info")
    quiet.client().object()
    quiet.client().reserve(pb.Reservation(), timeout=5)
    assert " info: job " in quiet.log
    assert "trace:" not in quiet.log
    assert server.log


def test_health_and_reflection(start: Start) -> None:
    server = start()
    channel = server.client().channel
    health: Any = health_pb2_grpc.HealthStub(channel)
    for service in ("", "distplusplus.CompilationServer"):
        answer = health.Check(health_pb2.HealthCheckRequest(service=service), timeout=5)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
    asked = iter([reflection_pb2.ServerReflectionRequest(list_services="")])
    stub: Any = reflection_pb2_grpc.ServerReflectionStub(channel)
    (answer,) = list(stub.ServerReflectionInfo(asked, timeout=5))
    names = {service.name for service in answer.list_services_response.service}
    assert {"distplusplus.CompilationServer", "distplusplus.WorkerInformation"} <= names


def test_metrics(start: Start) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = start("--metrics-address", f"127.0.0.1:{port}", "--jobs", "6")
    client = server.client()
    client.object()
    client.compile(b"error\n")
    with refused(Code.FAILED_PRECONDITION, pb.Refusal.UNKNOWN_RESERVATION):
        client.compile(uuid="x")
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as page:
        text = page.read().decode()
    for line in (
        'distplusplusd_jobs_total{result="ok"} 1.0',
        'distplusplusd_jobs_total{result="failed"} 1.0',
        'distplusplusd_refusals_total{reason="UNKNOWN_RESERVATION"} 1.0',
        "distplusplusd_slots 6.0",
        "distplusplusd_running_jobs 0.0",
        "distplusplusd_compile_seconds_count 2.0",
    ):
        assert line in text.splitlines(), text


def test_sigterm_lets_running_jobs_end(start: Start) -> None:
    server = start("--jobs", "2")
    client = server.client()
    # Long enough to see, short enough to end.
    text = b"".join(b"int f%d(int a) { return a * %d + f%d(a - 1); }\n" % (i, i, i) for i in range(700))
    results = []

    def compile_it() -> None:
        results.append(client.compile(text, arguments=["-O2", "-c"]))

    thread = threading.Thread(target=compile_it)
    thread.start()
    until(server.compilers, "the compiler to run")
    server.process.send_signal(signal.SIGTERM)
    until(lambda: "ending" in server.log, "the server to be ending")
    with refused(Code.UNAVAILABLE, pb.Refusal.DRAINING, "ending"):
        client.reserve(pb.Reservation(waitMs=5000), timeout=10)
    thread.join()
    assert results[0].returnCode == 0
    assert server.process.wait(30) == 0


def test_waiters_are_told_when_it_ends(start: Start) -> None:
    server = start("--jobs", "1")
    client = server.client()
    call = client.distribute.future(endless(client), timeout=60)
    until(server.compilers, "the compiler to run")
    waiting = client.reserve.future(pb.Reservation(waitMs=30_000), timeout=40)
    until(lambda: client.query(pb.ServerQuery(), timeout=5).capacity.queuedReservations, "the call to wait")
    server.process.send_signal(signal.SIGTERM)
    assert waiting.exception(timeout=20).code() == Code.UNAVAILABLE
    call.cancel()
    assert server.process.wait(30) == 0


def test_a_second_sigterm_stops(start: Start) -> None:
    server = start()
    client = server.client()
    call = client.distribute.future(endless(client), timeout=60)
    until(server.compilers, "the compiler to run")
    processes = psutil.Process(server.process.pid).children(recursive=True)
    server.process.send_signal(signal.SIGTERM)
    until(lambda: "ending" in server.log, "the server to be ending")
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(30) == 0
    assert call.exception(timeout=10).code() in (Code.UNAVAILABLE, Code.CANCELLED)
    until(lambda: not any(map(psutil.Process.is_running, processes)), "the compilers to end")


def test_systemd_is_told(start: Start) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
        address = f"\0distplusplusd-test-{os.getpid()}"
        notified.bind(address)
        notified.settimeout(30)
        server = start(NOTIFY_SOCKET="@" + address[1:])
        assert notified.recv(100) == b"READY=1"
        server.process.send_signal(signal.SIGTERM)
        assert notified.recv(100) == b"STOPPING=1"


def test_help_names_every_option() -> None:
    text = subprocess.run([PROGRAM, "--help"], capture_output=True, text=True, check=True).stdout
    for option in (
        "listen-address",
        "log-level",
        "compress",
        "compression-level",
        "reservation-timeout",
        "check",
    ):
        assert f"--{option}" in text
