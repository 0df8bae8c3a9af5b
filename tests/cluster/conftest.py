"""Engine, images, project and hosts for the cluster tests; the workers' logs of a failed test."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Generator, Iterator

import docker
import pytest
from docker.errors import DockerException

from images.build import combinations
from tests.cluster import composed, lua
from tests.cluster.cluster import (
    COMPOSE_PROJECT,
    LABEL,
    LOGS,
    NETWORK_TOOLS_IMAGE,
    OTHER_GCC_IMAGE,
    ROOT,
    WORKER_IMAGE,
    Network,
    Worker,
    keep_log,
    log_directory,
    remove_left_overs,
)
from tests.integration import source_packages

HERE = os.path.join(ROOT, "tests", "cluster")
# Tests with this fixture need nothing but a list of hosts.
HOSTS_FIXTURE = "cluster_hosts"
# From nothing, base image included, on two busy CPUs.
IMAGE_S = 900


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--hosts",
        metavar="DISTCC_AUTO_HOSTS",
        help="run the acceptance tests against these workers instead of containers",
    )
    parser.addoption(
        "--rows",
        metavar="NAME,NAME",
        help='check the compilers of these rows of images/combinations.toml ("all": of every one), which must be built',
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "row" in metafunc.fixturenames:
        asked = str(metafunc.config.getoption("--rows", None) or "")
        built_for_tests = [image.partition(":")[2] for image in (WORKER_IMAGE, OTHER_GCC_IMAGE)]
        names = list(combinations()) if asked == "all" else asked.split(",") if asked else built_for_tests
        metafunc.parametrize("row", names)


def users_hosts(config: pytest.Config) -> str:
    return str(config.getoption("--hosts", None) or "")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE):
            # Without what a test waits for before it begins: the first one waits for the images to be built.
            item.add_marker(pytest.mark.timeout(300, func_only=True))
    if users_hosts(config):
        kept = [item for item in items if HOSTS_FIXTURE in getattr(item, "fixturenames", ())]
        config.hook.pytest_deselected(items=[item for item in items if item not in kept])
        items[:] = kept


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if call.when == "call" and call.excinfo is not None and item.path.is_relative_to(HERE):
        keep_all_logs()
        if os.path.isdir(directory := log_directory()):
            names = "\n".join(sorted(os.listdir(directory)))
            report.sections.append(("workers' logs", f"in {directory}:\n{names}"))
    return report


def keep_all_logs() -> None:
    try:
        client = docker.from_env()
    except DockerException:
        return
    for label in (f"{LABEL}={os.getpid()}", f"com.docker.compose.project={COMPOSE_PROJECT}"):
        for container in client.containers.list(all=True, filters={"label": label}):
            keep_log(container)
    client.close()


@pytest.fixture(scope="session")
def engine() -> Iterator[docker.DockerClient]:
    try:
        client = docker.from_env()
        client.ping()
    except DockerException as error:
        pytest.fail(f"no Docker engine answers (tools/install-docker installs and starts one): {error}", pytrace=False)
    remove_left_overs(client, own=False)
    shutil.rmtree(LOGS, ignore_errors=True)
    yield client
    remove_left_overs(client, own=True)
    client.close()


@pytest.fixture(scope="session")
def images(engine: docker.DockerClient) -> None:
    """All images that the tests use, built where they are not there or older than their sources."""
    del engine
    build = os.path.join(ROOT, "images", "build.py")
    network_tools = os.path.join(HERE, "network_tools")
    for command in (
        [build, "--client", "--distplusplusd", WORKER_IMAGE.partition(":")[2]],
        [build, OTHER_GCC_IMAGE.partition(":")[2]],
        ["docker", "buildx", "build", "--load", "--quiet", "--tag", NETWORK_TOOLS_IMAGE, network_tools],
    ):
        subprocess.run(command, check=True, timeout=IMAGE_S)


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The directory with the sources of a real project."""
    return str(source_packages.unpack("lua5.4", tmp_path_factory.mktemp("lua") / "source") / "src")


@pytest.fixture(scope="session")
def reference(project: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Digests of the objects that this machine makes of the project by itself."""
    directory = str(tmp_path_factory.mktemp("reference") / "project")
    shutil.copytree(project, directory)
    subprocess.run([*lua.BUILD, "-j2", f"CC={lua.COMPILER} -std=gnu99"], cwd=directory, check=True, capture_output=True)
    return lua.objects(directory)


@pytest.fixture(scope="session")
def cluster(engine: docker.DockerClient, images: None) -> Iterator[composed.Cluster]:
    """The cluster of compose.yaml."""
    del images
    with composed.running(engine) as cluster:
        yield cluster


@pytest.fixture
def source(project: str, tmp_path: object) -> str:
    """A copy of the project that the client's user may write to."""
    directory = f"{tmp_path}/source"
    shutil.copytree(project, directory)
    for path in (directory, *(entry.path for entry in os.scandir(directory))):
        os.chown(path, 1000, 1000)
    # The directories that pytest makes are for its own user alone; the client gets no further than its mount.
    return directory


@pytest.fixture(scope="module")
def network(engine: docker.DockerClient, images: None) -> Iterator[Network]:
    del images
    network = Network(engine)
    yield network
    network.remove()


@pytest.fixture(scope="session")
def cluster_hosts(request: pytest.FixtureRequest) -> Iterator[str]:
    """A DISTCC_AUTO_HOSTS list: the user's own, or that of three workers in containers."""
    if hosts := users_hosts(request.config):
        yield hosts
        return
    engine = request.getfixturevalue("engine")
    request.getfixturevalue("images")
    network = Network(engine)
    workers: list[Worker] = []
    try:
        for jobs in ("2", "2", "1"):
            workers.append(Worker(network, network.free_address(), environment={"DISTCC_WORKER_JOBS": jobs}))
            workers[-1].start()
            workers[-1].wait_until_ready()
        yield " ".join(worker.spec for worker in workers)
    finally:
        for worker in workers:
            worker.stop()
        network.remove()
