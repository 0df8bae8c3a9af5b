"""What a source holds that may be lost when its macros are left to a server."""

from __future__ import annotations

import pytest

from distplusplus.compiler.source_scan import Scanned, SourceKind, examine


@pytest.mark.parametrize(
    "source",
    [
        "",
        "int pragma; // a pragma, and # of them\n",
        "#pragma once\n",
        "#pragma once",
        "  #  pragma \t pack ( push )\n",
        "#pragma\r\n#pragma GCC  system_header\r\n",
        "%:pragma GCC diagnostic push\n",
        "#pragma STDC FENV_ACCESS ON\n#pragma warning(disable : 4996)\n#pragma comment(lib, x)\n",
        '_Pragma("GCC diagnostic push")\n#define DO(x) _Pragma(#x)\n',
        "#pragma omp parallel for\n",
        "int __DATE, TIME__;\n",
        "//#pragma message(x)\n",
        ' // #pragma push_macro("x")\n',
        '// the "#pragma" directive\n* #pragma message\n',
    ],
)
def test_ordinary_sources_are_not_suspect(source: str) -> None:
    assert examine(source.encode()) == Scanned(SourceKind.PLAIN)


@pytest.mark.parametrize(
    "source",
    [
        '_Pragma("pop_macro(x)")\n',
        '#pragma \\\n push_macro("x")\n',
        '#pragma push_macro("x")\n#line 7 "other.y"\n',
        '#pragma push_macro("x")\n # 7 "other.y"\n',
        '%:pragma push_macro("x")\n',
        '#define PUSH(x) _Pragma("push_macro(x)")\n',
        "#pragma redefine_extname a b\n",
        '#  pragma message "text"\n',
        "%:pragma message(x)\n",
        "??=pragma message(x)\n",
        "#/**/pragma message(x)\n",
        "#\\\npragma message(x)\n",
        "#pragma\\\n message(x)\n",
        "#pragma/**/message(x)\n",
        "#pragma GCC poison name\n",
        '#pragma GCC dependency "x"\n',
        '#pragma GCC warning "x"\n',
        "#pragma once_more\n",
        "#pragma weakness\n",
        "#pragma unheard_of\n",
        "const char *when = __DATE__;\n",
        "__TIME__",
        "__TIMESTAMP__",
        "__BASE_FILE__",
        'asm(".incbin \\"x\\"");\n',
    ],
)
def test_what_such_a_text_may_lack_is_suspect(source: str) -> None:
    assert examine(source.encode()) == Scanned(SourceKind.SUSPECT)
