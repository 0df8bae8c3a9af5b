"""The bridge's process: `python -m distplusplus.bridge FD`, started by distcc_auto/reach/grpc.py with a socket as FD.

It speaks distcc's protocol to the distcc clients of a build and the open protocol (docs/protocol.md) to servers.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys

os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
os.environ.setdefault("GRPC_VERBOSITY", "NONE")


def main() -> None:
    # Ctrl-C ends the build, and the driver then closes our socket. Until it does, jobs go on. The signals are caught
    # and not ignored, as compilers would inherit that.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, lambda *_: None)
    control = socket.socket(fileno=int(sys.argv[1]))
    with contextlib.suppress(ConnectionError):  # the driver was killed
        try:
            from distplusplus.bridge import control as conversation  # noqa: PLC0415  (it needs the extra)
        except ModuleNotFoundError as error:
            _say_what_is_missing(control, error)
        else:
            asyncio.run(conversation.serve(control))


def _say_what_is_missing(control: socket.socket, error: ModuleNotFoundError) -> None:
    """The same answer for each host."""
    with control.makefile("rwb") as stream:
        order = json.loads(stream.readline())
        reason = {
            "phase": "bridge",
            "cause": f"the Python package {error.name} is not installed",
            "remedy": "pip install 'distcc-auto[distplusplus]'",
        }
        stream.write(json.dumps([reason] * len(order["hosts"])).encode() + b"\n")


if __name__ == "__main__":
    main()
