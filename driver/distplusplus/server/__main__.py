"""`distplusplusd`: the console script. It needs the extra `distplusplus`, and says so where that is missing."""

from __future__ import annotations

import sys

from distcc_common.errors import EXIT_CONFIGURATION


def main() -> None:
    """The one place that exits."""
    try:
        from distplusplus.server import serve  # noqa: PLC0415  (its packages may be missing)
    except ModuleNotFoundError as missing:
        print(
            f"distplusplusd: the Python package {missing.name} is not installed; "
            "run: pip install 'distcc-auto[distplusplus]'",
            file=sys.stderr,
        )
        sys.exit(EXIT_CONFIGURATION)
    sys.exit(serve.run(sys.argv[1:]))


if __name__ == "__main__":
    main()
