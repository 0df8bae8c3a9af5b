"""Who a compiler is, and when it is another one. The compilers are scripts that answer like GCC and clang."""

from __future__ import annotations

import asyncio
import hashlib
import os
from pathlib import Path

import pytest

from distplusplus.compiler.identity import Family, Identity, NotACompilerError, examine
from distplusplus.compiler.identity_cache import IdentityCache
from distplusplus.protocol import distplusplus_pb2 as pb

GCC = """#!/bin/sh
here=$(dirname "$0")
case $1 in
--version) echo 'gcc 12.2.0'; echo 'Copyright (C) 2022 Free Software Foundation, Inc.' ;;
-dumpmachine) echo x86_64-linux-gnu ;;
-dumpfullversion) echo 12.2.0 ;;
-print-prog-name=as) echo as ;;
-print-prog-name=*) echo "$here/lib/${1#*=}" ;;
-print-file-name=specs) [ -e "$here/lib/specs" ] && echo "$here/lib/specs" || echo specs ;;
-print-libgcc-file-name) echo "$here/lib/libgcc.a" ;;
*) exit 1 ;;
esac
"""
CLANG = """#!/bin/sh
here=$(dirname "$0")
case $1 in
--version) echo 'clang version 17.0.6'; [ ! -e "$here/clang.cfg" ] || echo "Configuration file: $here/clang.cfg" ;;
-dumpmachine) echo x86_64-pc-linux-gnu ;;
-dumpversion) echo 17.0.6 ;;
*) exit 1 ;;
esac
"""


def program(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


@pytest.fixture
def gcc(tmp_path: Path) -> Path:
    program(tmp_path / "lib/cc1", "C")
    program(tmp_path / "lib/cc1plus", "C++")
    program(tmp_path / "bin/as", "assembler")
    return program(tmp_path / "gcc", GCC)


def test_families_have_the_numbers_of_the_protocol() -> None:
    assert {family.name: int(family) for family in Family} == dict(pb.Compiler.Family.items())


def test_the_digest_of_gcc_is_over_the_files_that_make_objects(gcc: Path, tmp_path: Path) -> None:
    identity = examine(str(gcc), {}, str(tmp_path / "bin/as")).identity
    files = (gcc, *(tmp_path / name for name in ("lib/cc1", "lib/cc1plus", "bin/as")))
    each = b"".join(hashlib.sha256(file.read_bytes()).digest() for file in files)
    assert identity == Identity(Family.GCC, "12.2.0", "x86_64-linux-gnu", hashlib.sha256(each).hexdigest())


@pytest.mark.parametrize("changed", ["gcc", "lib/cc1", "lib/cc1plus", "bin/as", "lib/specs"])
def test_gcc_is_another_one_when_any_of_its_files_is(gcc: Path, tmp_path: Path, changed: str) -> None:
    async def digests() -> tuple[str, str, str]:
        cache = IdentityCache()
        path = str(tmp_path / "bin")
        first = await cache.find(str(gcc), path)
        again = await cache.find(str(gcc), path)
        new = tmp_path / "new"
        program(new, GCC + "# new" if changed == "gcc" else "new")
        new.rename(tmp_path / changed)
        return first.digest, again.digest, (await cache.find(str(gcc), path)).digest

    first, again, then = asyncio.run(digests())
    assert first == again != then


def test_gcc_has_the_assembler_of_the_users_path(gcc: Path, tmp_path: Path) -> None:
    program(tmp_path / "other/as", "another assembler")

    async def digests() -> set[str]:
        cache = IdentityCache()
        paths = (f"{tmp_path}/bin:/x", f"{tmp_path}/other:{tmp_path}/bin", f"/x:relative:{tmp_path}/bin")
        return {(await cache.find(str(gcc), path)).digest for path in paths}

    assert len(asyncio.run(digests())) == 2


def test_a_configuration_of_clang_is_noticed_when_it_comes_and_goes(tmp_path: Path) -> None:
    clang = str(program(tmp_path / "clang", CLANG))

    async def identities() -> list[Identity]:
        cache = IdentityCache()
        found = [await cache.find(clang)]
        (tmp_path / "clang.cfg").write_text("-DX=1\n")
        found.append(await cache.find(clang))
        (tmp_path / "clang.cfg").write_text("-DX=2 -O2\n")
        found.append(await cache.find(clang))
        (tmp_path / "clang.cfg").unlink()
        return [*found, await cache.find(clang)]

    bare, first, second, bare_again = asyncio.run(identities())
    assert (bare.family, bare.version, bare.configured_by) == (Family.CLANG, "17.0.6", "")
    assert first.configured_by == f"{tmp_path}/clang.cfg"
    assert len({bare.digest, first.digest, second.digest}) == 3
    assert bare_again == bare


@pytest.mark.parametrize("text", ["#!/bin/sh\necho hello\n", "#!/bin/sh\nexit 1\n", "#!/no/such\n"])
def test_what_is_no_compiler(tmp_path: Path, text: str) -> None:
    with pytest.raises(NotACompilerError, match="does not run as a compiler"):
        examine(str(program(tmp_path / "gcc", text)), {})


def test_a_compiler_that_did_not_run_is_asked_again(tmp_path: Path) -> None:
    async def run() -> Identity:
        cache = IdentityCache()
        path = str(program(tmp_path / "clang", "#!/bin/sh\nexit 1\n"))
        with pytest.raises(NotACompilerError):
            await cache.find(path)
        os.unlink(path)
        return await cache.find(str(program(tmp_path / "clang", CLANG)))

    assert asyncio.run(run()).family == Family.CLANG
