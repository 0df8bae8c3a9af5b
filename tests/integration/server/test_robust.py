"""Nothing that a client sends ends the server, touches another job or leaves something behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import grpc
import psutil
import pytest

from distplusplus.protocol import compression
from distplusplus.protocol import distplusplus_pb2 as pb
from tests.integration.server.harness import HELLO, Client, Server, SlowLink, endless, refused, until

pytestmark = pytest.mark.long

Code = grpc.StatusCode


def check_alive(server: Server) -> None:
    assert server.client().object()
    until(server.idle, "the jobs' processes and directories to go")


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "/etc/passwd",
        "../x.c",
        "a/b.c",
        "x\0.c",
        "x" * 300 + ".c",
        "-o.c",
        "@x.c",
        "x\n.c",
        "é" * 130,
    ],
)
def test_names(server: Server, client: Client, name: str) -> None:
    with refused(Code.INVALID_ARGUMENT, pb.Refusal.BAD_NAME):
        client.compile(name=name)
    check_alive(server)


@pytest.mark.parametrize("name", ["a b.c", "ünïcode.c", "x.y.z.c", "$(id).c", "..x.c", "%s.c", "x" * 240 + ".c"])
def test_odd_names_that_files_have(server: Server, client: Client, name: str) -> None:
    assert client.object(name=name)
    check_alive(server)


@pytest.mark.parametrize("name", ["x", "x.", "x.f90", "x.h", "x.c.gz"])
def test_names_without_a_language(client: Client, name: str) -> None:
    with refused(Code.INVALID_ARGUMENT, pb.Refusal.LANGUAGE_NOT_SUPPORTED):
        client.compile(name=name)
    assert client.object(name=name, language=pb.C)


def test_unknown_enums(server: Server, client: Client) -> None:
    request = client.request(inputFile=pb.File.FromString(b"\x0a\x03a.c\x10\x63\x1a\x01x"))
    with refused(Code.INVALID_ARGUMENT, pb.Refusal.UNKNOWN_COMPRESSION, "99"):
        client.distribute(request, timeout=20)
    request = client.request()
    request.MergeFromString(b"\xb8\x06\x63")  # language = 99
    assert request.language == 99
    with refused(Code.INVALID_ARGUMENT, pb.Refusal.LANGUAGE_NOT_SUPPORTED, "99"):
        client.distribute(request, timeout=20)
    check_alive(server)


@pytest.mark.parametrize("compiler", ["", "/bin/sh", "../gcc", "sh", "gcc\0", "g" * 100_000, "-c", "distcc"])
def test_compilers_that_are_not_allowed(server: Server, client: Client, compiler: str) -> None:
    with refused(Code.INVALID_ARGUMENT, pb.Refusal.COMPILER_NOT_ALLOWED):
        client.compile(compiler=compiler)
    check_alive(server)


def test_zstd_that_is_cut_short_damaged_or_a_bomb(start: Callable[..., Server]) -> None:
    server = start("--max-input", "16")
    client = server.client()
    frame = compression.compress(HELLO * 1000, pb.zstd)
    bomb = compression.compress(bytes(1 << 30), pb.zstd)
    for content, reason in (
        (frame[:-3], pb.Refusal.BAD_FRAME),
        (frame[:7], pb.Refusal.BAD_FRAME),
        (b"", pb.Refusal.BAD_FRAME),
        (b"\x28\xb5\x2f\xfd" + b"\xff" * 100, pb.Refusal.BAD_FRAME),
        (frame + b"x", pb.Refusal.BAD_FRAME),
        (frame[:9] + bytes([frame[9] ^ 0xFF]) + frame[10:], pb.Refusal.BAD_FRAME),
        (bomb, pb.Refusal.INPUT_TOO_LARGE),
    ):
        file = pb.File(name="a.c", compressionType=pb.zstd, content=content)
        with refused(Code.INVALID_ARGUMENT, reason):
            client.compile(inputFile=file)
    assert psutil.Process(server.process.pid).memory_info().rss < 400 << 20
    check_alive(server)


def test_input_larger_than_allowed(start: Callable[..., Server]) -> None:
    server = start("--max-input", "1")
    client = server.client()
    with refused(Code.INVALID_ARGUMENT, pb.Refusal.INPUT_TOO_LARGE, "--max-input"):
        client.compile(inputFile=pb.File(name="a.c", content=b"\n" * (2 << 20)))
    # Larger than any message may be: gRPC refuses it before it takes memory.
    with pytest.raises(grpc.RpcError) as caught:
        client.compile(inputFile=pb.File(name="a.c", content=b"\n" * (80 << 20)))
    assert caught.value.code() == Code.RESOURCE_EXHAUSTED
    assert "larger than max" in str(caught.value.details())
    check_alive(server)


def test_a_million_arguments(server: Server, client: Client) -> None:
    with refused(Code.INVALID_ARGUMENT, pb.Refusal.ARGUMENT_NOT_ALLOWED, "1000001 arguments"):
        client.compile(arguments=["-O2"] * 1_000_000 + ["-c"])
    assert client.object(arguments=["-O2"] * 9_000 + ["-c"])
    check_alive(server)


FORBIDDEN = """
-fplugin=/tmp/evil.so|-fplugin=evil|-wrapper /bin/sh|-B/tmp|-B /tmp|@/etc/passwd|-specs=/tmp/x|--specs=/tmp/x
-o /tmp/x
-o/tmp/x|-Wa,-a=/tmp/x|-Wa,@/etc/passwd|-Xassembler -I/etc|-fdump-tree-all|-dumpdir /tmp/|-aux-info /tmp/x
-save-temps|-fprofile-use=/etc/passwd|-fauto-profile=/etc/passwd|-Xclang -load|-march=native|-fpch-preprocess
-fdiagnostics-format=sarif-file|-fprofile-note=/tmp/x|--config=/etc/x|-fcallgraph-info=/tmp/x|-ftime-trace=/tmp/x
-fopt-info-all=/tmp/x|-mllvm -x|-fsanitize-blacklist=/etc/passwd|-fthinlto-index=/etc/passwd|--unknown|-|-D
-fmodule-file=/etc/passwd|-fdebug-types-section=/x|-cc1|-fself-test=/etc|-include-pch /etc/passwd|-foo/bar
-fcompare-debug|-x ada|-Wp,-MD,/tmp/x -E|-fsave-optimization-record=/tmp/x|-Wl,-o,/tmp/x -o x|--output=/tmp/x
"""


@pytest.mark.parametrize("line", [part for line in FORBIDDEN.split("\n") for part in line.split("|") if part])
def test_arguments_that_are_not_the_jobs(client: Client, line: str) -> None:
    # First, so that one that wants a value gets -c, and not the other way round.
    with pytest.raises(grpc.RpcError) as caught:
        client.compile(arguments=[*line.split(" "), "-c"], furtherOutputs=True, cwd="/")
    assert caught.value.code() == Code.INVALID_ARGUMENT, caught.value.details()


@pytest.mark.parametrize("arguments", [[], ["-E"], ["-c", "-E"], ["-c", "other.c"], ["-c", "-S"], ["-fsyntax-only"]])
def test_what_is_no_compile(client: Client, arguments: Sequence[str]) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        client.compile(arguments=arguments)
    assert caught.value.code() == Code.INVALID_ARGUMENT


@pytest.mark.parametrize("output", ["../../x.o", "/etc/x.o", "a/../../x.o", "a/b/c/x.o", "./x.o"])
def test_outputs_elsewhere_at_the_client(server: Server, client: Client, output: str) -> None:
    answer = client.compile(outputName=output)
    assert answer.returnCode == 0
    assert answer.outputFile.name == "x.o"
    check_alive(server)


@pytest.mark.parametrize("output", ["x" * 300, "hello.i", "-x.o", "a/", "x\0", "..", "a\nb", "/" + "x/" * 3000])
def test_outputs_that_no_file_can_be(server: Server, client: Client, output: str) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        client.compile(outputName=output)
    assert caught.value.code() == Code.INVALID_ARGUMENT, caught.value
    check_alive(server)


def test_working_directories(client: Client) -> None:
    for cwd in ("relative", "/x\0", "/" + "x" * 5000, "/a\nb"):
        with refused(Code.INVALID_ARGUMENT, pb.Refusal.BAD_PATH):
            client.compile(cwd=cwd)
    assert client.object(cwd="/home/a=b c/ü", arguments=["-g", "-c"])


def test_a_job_reads_nothing_of_the_worker(server: Server, client: Client) -> None:
    """Through the assembler or the preprocessor; the kernel's Landlock denies it."""
    secret = Path(subprocess.check_output(["mktemp"], text=True).strip())
    try:
        secret.write_text("int top_secret;\n")
        secret.chmod(0o644)
        other = server.jobs_dir.iterdir().__next__()
        for path in (secret, Path("/etc/passwd"), Path(f"/proc/{server.process.pid}/environ")):
            text = f'# 1 "a.c"\n__asm__(".incbin \\"{path}\\"");\n'
            for compiler in ("gcc", "clang"):
                answer = client.compile(text.encode(), compiler=compiler)
                assert answer.returnCode != 0, path
            included = f'# 1 "a.c"\n#include "{path}"\nint x;\n'
            for compiler in ("gcc", "clang"):
                answer = client.compile(included.encode(), compiler=compiler, directivesOnly=compiler == "gcc")
                assert answer.returnCode != 0
                assert "top_secret" not in answer.stderr
        assert other.stat().st_mode & 0o077 == 0
    finally:
        secret.unlink()


def test_a_job_writes_only_in_its_directory(client: Client) -> None:
    """Nothing lets it; this one tries through the assembler's listing, from inside the source."""
    target = Path("/tmp/distplusplusd-test-listing")
    answer = client.compile(b'# 1 "a.c"\n__asm__(".include \\"/etc/hosts\\"");\n')
    assert answer.returnCode != 0
    assert not target.exists()
    assert "Assembler messages" in answer.stderr
    assert "distplusplusd" not in answer.stderr  # no name of the worker's


def test_jobs_do_not_run_as_root(server: Server, client: Client) -> None:
    call = client.distribute.future(endless(client), timeout=60)
    processes = until(server.compilers, "the compiler to start")
    for process in (*processes, psutil.Process(server.process.pid)):
        assert 0 not in process.uids()
        assert 0 not in process.gids()
    call.cancel()
    until(server.idle, "the compiler to be killed")


def test_a_client_that_goes_away_has_its_compiler_killed(server: Server) -> None:
    code = (
        "import sys; from tests.integration.server.harness import Client, endless;"
        "c = Client(sys.argv[1]); c.distribute(endless(c), timeout=100)"
    )
    process = subprocess.Popen([sys.executable, "-c", code, server.addresses[0]], stderr=subprocess.DEVNULL)
    until(lambda: len(server.compilers()) >= 2, "the compiler and its cc1plus to run")
    process.send_signal(signal.SIGKILL)
    process.wait()
    begun = time.monotonic()
    until(server.idle, "the compiler to be killed and its directory removed", timeout_s=10)
    assert time.monotonic() - begun < 5  # a second, on a machine that is not busy
    check_alive(server)


def test_a_cancelled_call_and_a_passed_deadline(server: Server, client: Client) -> None:
    call = client.distribute.future(endless(client), timeout=100)
    until(server.compilers, "the compiler to run")
    call.cancel()
    until(server.idle, "the compiler to be killed")
    with pytest.raises(grpc.RpcError) as caught:
        client.distribute(endless(client), timeout=1)
    assert caught.value.code() == Code.DEADLINE_EXCEEDED
    check_alive(server)


def test_half_sent_messages(start: Callable[..., Server]) -> None:
    """A connection that stalls within an upload, and one that breaks."""
    server = start("--transfer-timeout", "1", "--jobs", "1")
    with SlowLink(server.addresses[0], bytes_per_s=100_000) as address:
        client = server.client(address=address)
        request = client.request(inputFile=pb.File(name="a.c", content=HELLO * 20_000))
        with refused(Code.DEADLINE_EXCEEDED, pb.Refusal.TRANSFER_TIMEOUT, "--transfer-timeout"):
            client.distribute(request, timeout=30)
    with SlowLink(server.addresses[0], bytes_per_s=300_000) as address:
        client = server.client(address=address)
        client.distribute.future(client.request(inputFile=pb.File(name="a.c", content=HELLO * 20_000)), timeout=30)
        until(lambda: server.client().query(pb.ServerQuery(), timeout=5).currentLoad, "the slot to be taken")
    check_alive(server)


def test_rubbish_on_the_port(server: Server) -> None:
    host, _, port = server.addresses[0].rpartition(":")
    http2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    for data in (b"GET / HTTP/1.0\r\n\r\n", os.urandom(5000), b"DIST00000001", http2 + b"\xff" * 500):
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(data)
    for payload in (b"\xff" * 100, b"\x0a\xff\xff\xff\xff\x0f"):
        call: Any = server.client().channel.unary_unary("/distplusplus.CompilationServer/Distribute")
        with refused(Code.INVALID_ARGUMENT, pb.Refusal.MALFORMED_MESSAGE, "CompileRequest"):
            call(payload, timeout=10)
    check_alive(server)


def test_time_limit(start: Callable[..., Server]) -> None:
    server = start("--job-timeout", "1")
    client = server.client()
    with refused(Code.DEADLINE_EXCEEDED, pb.Refusal.JOB_TIMEOUT, "--job-timeout"):
        client.distribute(endless(client), timeout=60)
    check_alive(server)


def test_memory_limit(start: Callable[..., Server]) -> None:
    server = start("--job-memory", "100")
    client = server.client()
    text = b"".join(b"int f%d(int a) { return a * %d + f%d(a); }\n" % (i, i, i) for i in range(5000))
    with refused(Code.RESOURCE_EXHAUSTED, pb.Refusal.OUT_OF_MEMORY, "--job-memory"):
        client.compile(text)
    check_alive(server)


def test_output_limit(start: Callable[..., Server]) -> None:
    server = start("--max-output", "4")
    client = server.client()
    with refused(Code.RESOURCE_EXHAUSTED, pb.Refusal.OUTPUT_TOO_LARGE):
        client.compile(b'# 1 "a.c"\nint big[4000000] = {1};\n')
    check_alive(server)


def test_the_jobs_environment_is_clean(start: Callable[..., Server], client: Client) -> None:
    """Variables of the server that would change what a compiler makes do not reach it."""
    variables = {"GCC_COMPARE_DEBUG": "1", "CPATH": "/x", "COMPILER_PATH": "/x", "DEPENDENCIES_OUTPUT": "/x"}
    elsewhere = start(**variables).client()
    assert elsewhere.object() == client.object()


def test_a_server_that_is_killed_leaves_nothing(start: Callable[..., Server]) -> None:
    server = start()
    client = server.client()
    call = client.distribute.future(endless(client), timeout=60)
    until(lambda: len(server.compilers()) >= 2, "the compiler to run")
    processes = psutil.Process(server.process.pid).children(recursive=True)
    server.process.kill()
    server.process.wait()
    until(lambda: not any(map(psutil.Process.is_running, processes)), "the warden and the compilers to end")
    assert not list(server.jobs_dir.iterdir())
    with pytest.raises(grpc.RpcError):
        call.result(timeout=30)


def test_a_warden_that_is_killed_ends_the_server(start: Callable[..., Server]) -> None:
    server = start()
    warden = server.warden()
    assert warden
    warden.kill()
    assert server.process.wait(30) == 1
    assert "fatal" in server.log
    subprocess.run(["find", str(server.jobs_dir), "-mindepth", "1", "-delete"], check=True)


def test_jobs_beside_each_other(start: Callable[..., Server]) -> None:
    """The same names at once: each gets its own object."""
    server = start("--jobs", "8")
    wrong = []

    def work(number: int) -> None:
        client = server.client()
        for step in range(5):
            text = f'# 1 "same.c"\nint only_{number}_{step};\n'.encode()
            answer = client.compile(text, "same.c", outputName="obj/same.o")
            data = compression.unpack(answer.outputFile, 1 << 20)
            if f"only_{number}_{step}".encode() not in data:
                wrong.append((number, step))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    check_alive(server)
