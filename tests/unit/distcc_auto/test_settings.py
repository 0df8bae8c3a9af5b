"""Where settings come from, what they may be, and what is said of those that may not."""

from __future__ import annotations

from pathlib import Path

import pytest

from distcc_auto.settings import DriverSettings, load
from distcc_common import limits
from distcc_common.errors import ConfigurationError


def load_from(tmp_path: Path, system: str | None = None, user: str | None = None, **environ: str) -> DriverSettings:
    system_file = tmp_path / "system.toml"
    if system is not None:
        system_file.write_text(system)
    if user is not None:
        (tmp_path / "distcc-auto").mkdir()
        (tmp_path / "distcc-auto" / "config.toml").write_text(user)
    return load({"XDG_CONFIG_HOME": str(tmp_path)} | environ, str(system_file))


def test_the_defaults_are_the_documented_ones(tmp_path: Path) -> None:
    settings = load_from(tmp_path, DISTCC_AUTO_HOSTS="a")
    cpus = limits.cpus().cpus
    assert [host.text for host in settings.hosts] == ["a"]
    assert settings.compiler_memory_mib == 1024
    assert settings.early_local_jobs == 0
    assert settings.fallback_local_jobs == cpus
    assert settings.saturation_jobs == cpus
    assert (settings.connect_timeout_s, settings.answer_timeout_s) == (5, 10)


def test_the_environment_goes_before_the_user_and_the_user_before_the_system(tmp_path: Path) -> None:
    settings = load_from(
        tmp_path,
        system='hosts = "system"\nearly_local_jobs = 1\nfallback_local_jobs = 1\ncompiler_memory = 1',
        user='hosts = ["user-1", "user-2"]\nearly_local_jobs = 2\nfallback_local_jobs = 2',
        DISTCC_AUTO_EARLY_LOCAL_JOBS="3",
    )
    assert [host.text for host in settings.hosts] == ["user-1", "user-2"]
    assert settings.early_local_jobs == 3
    assert settings.fallback_local_jobs == 2
    assert settings.compiler_memory_mib == 1


def test_a_file_may_use_the_variables_own_names(tmp_path: Path) -> None:
    settings = load_from(tmp_path, user='DISTCC_AUTO_HOSTS = "a b"\nDISTCC_AUTO_CONNECT_TIMEOUT = 0.5')
    assert [host.text for host in settings.hosts] == ["a", "b"]
    assert settings.connect_timeout_s == 0.5


def test_zero_means_zero(tmp_path: Path) -> None:
    names = ("COMPILER_MEMORY", "EARLY_LOCAL_JOBS", "FALLBACK_LOCAL_JOBS", "PREPROCESSOR_SATURATION_JOBS")
    settings = load_from(tmp_path, DISTCC_AUTO_HOSTS="a", **{f"DISTCC_AUTO_{name}": "0" for name in names})
    assert settings.compiler_memory_mib == 0
    assert settings.early_local_jobs == 0
    assert settings.fallback_local_jobs == 0
    assert settings.saturation_jobs == 0


def test_an_empty_variable_counts_as_not_set(tmp_path: Path) -> None:
    settings = load_from(tmp_path, user='hosts = "a"', DISTCC_AUTO_HOSTS=" ", DISTCC_AUTO_COMPILER_MEMORY="")
    assert settings.hosts[0].text == "a"
    assert settings.compiler_memory_mib == 1024


def test_without_hosts_the_variable_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="DISTCC_AUTO_HOSTS is empty") as error:
        load_from(tmp_path)
    assert error.value.exit_status == 96


@pytest.mark.parametrize("value", ["-1", "1.5", "many", "1k", "1_000", "\N{ARABIC-INDIC DIGIT ONE}", "1000000"])
def test_a_malformed_number_is_named_with_its_variable(tmp_path: Path, value: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        load_from(tmp_path, DISTCC_AUTO_HOSTS="a", DISTCC_AUTO_EARLY_LOCAL_JOBS=value)
    assert "DISTCC_AUTO_EARLY_LOCAL_JOBS (environment)" in str(error.value)
    assert f"'{value}'" in str(error.value)


@pytest.mark.parametrize("value", ["0", "-1", "soon", "nan", "inf", "1e9"])
def test_a_malformed_timeout_is_named_with_its_variable(tmp_path: Path, value: str) -> None:
    with pytest.raises(ConfigurationError, match=r"DISTCC_AUTO_CONNECT_TIMEOUT \(environment\)"):
        load_from(tmp_path, DISTCC_AUTO_HOSTS="a", DISTCC_AUTO_CONNECT_TIMEOUT=value)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("hosts = ", "is not TOML"),
        ('host = "a"', "host: there is no such setting"),
        ("hosts = 3", "a string or an array"),
        ("hosts = [1]", "a string or an array"),
        ('hosts = "a:b"', "hosts: host 'a:b'"),
        ("compiler_memory = true", "compiler_memory: expected a number, got True"),
        ("compiler_memory = -1", "'-1'"),
        ("compiler_memory = [1]", "expected a number"),
        ("[driver]\nhosts = 'a'", "driver: there is no such setting"),
    ],
)
def test_a_wrong_file_is_named_with_the_key(tmp_path: Path, content: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        load_from(tmp_path, user=content, DISTCC_AUTO_HOSTS="" if "hosts" in content else "a")
    assert str(tmp_path / "distcc-auto" / "config.toml") in str(error.value)
    assert said in str(error.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "system.toml").mkdir()
    with pytest.raises(ConfigurationError, match=r"system\.toml: cannot be read"):
        load_from(tmp_path, DISTCC_AUTO_HOSTS="a")


def test_the_users_file_is_below_home_without_xdg(tmp_path: Path) -> None:
    directory = tmp_path / ".config" / "distcc-auto"
    directory.mkdir(parents=True)
    (directory / "config.toml").write_text('hosts = "from-home"')
    settings = load({"HOME": str(tmp_path)}, str(tmp_path / "none"))
    assert settings.hosts[0].text == "from-home"
