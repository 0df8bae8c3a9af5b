"""Keeps installed units that run `python -m distcc_auto.distplusplus.server.main` working for one release.

The server is distplusplus.server now; `fab upgrade` writes that name into the unit.
"""

from __future__ import annotations

import runpy


def main() -> None:
    """Runs the server with the arguments of this process."""
    runpy.run_module("distplusplus.server", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
