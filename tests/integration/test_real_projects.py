"""Two real projects, one C and one C++, built over real workers by every kind of set-up the README names."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from distcc_auto.demo.loopback import LoopbackWorker
from tests.integration.addresses import NETWORK, NOBODY
from tests.integration.sandbox import MASQUERADE_PATH, PATH, JobCount, Sandbox

pytestmark = pytest.mark.long

_LUA_SCRIPT = """
local words = {}
for word in ("one two three"):gmatch("%a+") do words[#words + 1] = word:upper() end
print(table.concat(words, "-"), 2^10, math.type(7 // 2))
"""
# What `make linux` hands to the make below it.
_LUA_FLAGS = ("SYSCFLAGS=-DLUA_USE_LINUX",)


def _assert_shared(done: Sequence[int], workers: Sequence[LoopbackWorker]) -> None:
    """Every worker had at least a third of the jobs that its slots entitle it to."""
    slots = sum(worker.slots for worker in workers)
    for count, worker in zip(done, workers, strict=True):
        assert count >= sum(done) * worker.slots / slots / 3, (worker.address, list(done))


def _objects(directory: Path) -> list[Path]:
    return sorted(directory.rglob("*.o"))


def _names(paths: Sequence[Path]) -> list[str]:
    return [path.name for path in paths]


def _assert_lua_works(sandbox: Sandbox, directory: Path) -> None:
    script = sandbox.write("hello.lua", _LUA_SCRIPT)
    done = sandbox.run([str(directory / "lua"), str(script)])
    assert (done.returncode, done.stdout) == (0, "ONE-TWO-THREE\t1024.0\tinteger\n"), done


@pytest.mark.parametrize(
    ("compiler", "path"),
    [
        pytest.param("gcc -std=gnu99", MASQUERADE_PATH, id="masquerade"),
        pytest.param("distcc gcc -std=gnu99", PATH, id="distcc-gcc"),
        pytest.param("clang -std=gnu99", MASQUERADE_PATH, id="masquerade-clang"),
    ],
)
def test_lua_is_compiled_on_every_worker_and_only_there(
    compiler: str, path: str, cluster: Sandbox, workers: list[LoopbackWorker], lua: Path
) -> None:
    tree = shutil.copytree(lua / "src", cluster.work / "lua")
    count = JobCount(workers)
    done = cluster.distcc_auto("make", "linux", f"CC={compiler}", env={"PATH": path}, cwd=tree)
    assert done.returncode == 0, done
    objects = {object_file: object_file.read_bytes() for object_file in _objects(tree)}
    _assert_shared(count.all_of(len(objects)), workers)
    _assert_lua_works(cluster, tree)
    # Without debug information the objects are those of a local build.
    sample = list(objects)[::4]
    for object_file in sample:
        object_file.unlink()
    local = cluster.run(["make", f"CC={compiler.removeprefix('distcc ')}", *_LUA_FLAGS, *_names(sample)], cwd=tree)
    assert local.returncode == 0, local
    assert {object_file: object_file.read_bytes() for object_file in objects} == objects


def test_a_build_whose_hosts_are_wrong_fails(cluster: Sandbox, lua: Path) -> None:
    """The guard of the other tests: where jobs do not reach a worker, the build does not quietly run here."""
    tree = shutil.copytree(lua / "src", cluster.work / "lua")
    done = cluster.run(["make", "linux"], env={"PATH": MASQUERADE_PATH, "DISTCC_HOSTS": f"{NOBODY}:1/4,lzo"}, cwd=tree)
    assert done.returncode == 2, done
    assert not _objects(tree)


def test_ccache_by_masquerade_sends_each_file_of_lua_once(
    cluster: Sandbox, workers: list[LoopbackWorker], lua: Path
) -> None:
    cluster.environ["PATH"] = f"/usr/lib/ccache:{PATH}"
    tree = shutil.copytree(lua / "src", cluster.work / "lua")
    count = JobCount(workers)
    done = cluster.distcc_auto("make", "linux", cwd=tree)
    assert done.returncode == 0, done
    objects = _objects(tree)
    _assert_shared(count.all_of(len(objects)), workers)
    assert cluster.run(["make", "clean"], cwd=tree).returncode == 0
    _assert_built_from_cache(cluster, objects, ["make", "linux"], tree)
    _assert_lua_works(cluster, tree)


def _assert_built_from_cache(sandbox: Sandbox, objects: list[Path], command: list[str], tree: Path) -> None:
    """The command builds the same objects, which were removed, without one job for a worker."""
    assert not _objects(tree)
    log = sandbox.write("distcc.log", "")
    done = sandbox.distcc_auto(*command, env={"DISTCC_LOG": str(log)}, cwd=tree)
    assert done.returncode == 0, done
    assert _objects(tree) == objects
    # Linking goes through distcc, too, and stays here.
    assert NETWORK not in log.read_text()


def _configure_leveldb(sandbox: Sandbox, source: Path, *options: str) -> Path:
    """Configures an unoptimised build without debug information; CMake's own trial compiles run here."""
    build = sandbox.work / "build"
    # Whatever compression or allocator is installed here, the library stands alone.
    alone = [f"-DHAVE_{library}=OFF" for library in ("SNAPPY", "CRC32C", "TCMALLOC")]
    done = sandbox.run(
        [
            *("cmake", "-S", str(source), "-B", str(build), "-DCMAKE_BUILD_TYPE=", "-DCMAKE_CXX_FLAGS=-O0"),
            *("-DLEVELDB_BUILD_TESTS=OFF", "-DLEVELDB_BUILD_BENCHMARKS=OFF", *alone, *options),
        ],
        env={"DISTCC_HOSTS": "localhost", "CCACHE_PREFIX": None},
    )
    assert done.returncode == 0, done
    return build


def _assert_leveldb_works(sandbox: Sandbox, source: Path, build: Path) -> None:
    """Links LevelDB's own test of its C interface with the library, and runs it."""
    program = sandbox.work / "c_test"
    compile_it = ["gcc", f"-I{source}/include", f"-I{source}", str(source / "db" / "c_test.c")]
    libraries = [str(build / "libleveldb.a"), "-lstdc++", "-lm", "-lpthread"]
    done = sandbox.run([*compile_it, "-o", str(program), *libraries])
    assert done.returncode == 0, done
    done = sandbox.run([str(program)])
    assert (done.returncode, done.stderr.splitlines()[-1]) == (0, "PASS"), done


def test_leveldb_with_cmake_and_ninja_is_compiled_on_every_worker_and_only_there(
    cluster: Sandbox, workers: list[LoopbackWorker], leveldb: Path
) -> None:
    build = _configure_leveldb(cluster, leveldb, "-GNinja", "-DCMAKE_CXX_COMPILER_LAUNCHER=distcc")
    count = JobCount(workers)
    done = cluster.distcc_auto("cmake", "--build", str(build))
    assert done.returncode == 0, done
    objects = _objects(build)
    _assert_shared(count.all_of(len(objects)), workers)
    _assert_leveldb_works(cluster, leveldb, build)
    for compiled in objects[::8]:
        _assert_local_compile_is_the_same(cluster, build, compiled)


def _assert_local_compile_is_the_same(sandbox: Sandbox, build: Path, compiled: Path) -> None:
    remote = compiled.read_bytes()
    listed = sandbox.run(["ninja", "-C", str(build), "-t", "commands", str(compiled.relative_to(build))])
    launcher, *command = shlex.split(listed.stdout.splitlines()[-1])
    assert Path(launcher).name == "distcc"
    compiled.unlink()
    done = sandbox.run(command, cwd=build)
    assert done.returncode == 0, done
    assert compiled.read_bytes() == remote, compiled


def test_ccache_sends_each_file_of_leveldb_once(cluster: Sandbox, workers: list[LoopbackWorker], leveldb: Path) -> None:
    compilers = ("-DCMAKE_C_COMPILER=clang", "-DCMAKE_CXX_COMPILER=clang++", "-DCMAKE_CXX_COMPILER_LAUNCHER=ccache")
    build = _configure_leveldb(cluster, leveldb, "-GUnix Makefiles", *compilers)
    count = JobCount(workers)
    done = cluster.distcc_auto("make", "-C", str(build))
    assert done.returncode == 0, done
    objects = _objects(build)
    _assert_shared(count.all_of(len(objects)), workers)
    assert cluster.run(["make", "-C", str(build), "clean"]).returncode == 0
    _assert_built_from_cache(cluster, objects, ["make"], build)
    _assert_leveldb_works(cluster, leveldb, build)
