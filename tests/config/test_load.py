"""Load valid files: defaults, overrides, variables and limits."""

import hashlib
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from exporter.config.config import (
    AgencyAuth,
    AkskAuth,
    Config,
    Console,
    Discovery,
    PasswordAuth,
    RateLimit,
    ServerEntry,
    Tls,
    TokenAuth,
)
from exporter.config.host_pattern import HostPattern
from exporter.config.load import ConfigError, load
from exporter.config.rendering import as_yaml
from exporter.config.secret import Secret
from exporter.model import Stage

Load = Callable[..., Config]
Errors = Callable[..., list[str]]
DOCUMENTED = Path(__file__).parent / "documented.yaml"


def test_documented_example_is_resolved_completely() -> None:
    config = load(DOCUMENTED, {"IAM_PASSWORD": "hunter2"})
    southwest, key_pair, machine, ready = config.projects
    assert southwest.auth == PasswordAuth(
        iam_endpoint="https://iam.cn-southwest-2.myhuaweicloud.com",
        username="monitor",
        password=Secret("hunter2"),
        domain="my-account",
    )
    assert southwest.timeout == 15
    assert southwest.tls == Tls()
    assert southwest.proxy_url is None
    assert southwest.console == Console(
        allowed_hosts=tuple(
            HostPattern.parse(host)
            for host in ("*.huaweicloud.com", "*.myhuaweicloud.com", "192.0.2.7:6080", "fd00::/8")
        ),
        websocket_path="/vnc/{server_name}/websockify",
        tls=Tls(server_name="console.example.com"),
    )
    folder = DOCUMENTED.parent
    assert southwest.server_files == (f"{folder}/servers/*.yaml", f"{folder}/more.json")
    assert southwest.discovery == Discovery(
        refresh_interval=600,
        manage_state=("in-use", "maintain"),
        name_regex=re.compile("(db|web)-[0-9]{2,}"),
        labels=(("purpose", "tags.what for"), ("rack", "location.rack"), ("team", "tags.team")),
    )
    assert (southwest.interval, southwest.depth) == (60, Stage.WEBSOCKET)
    assert machine.discovery == Discovery()
    assert (machine.servers, key_pair.discovery) == ((), None)
    assert key_pair.console == Console()
    first, second = southwest.servers
    assert first == ServerEntry(
        id="7c9ad6b8-b87e-43ae-8b3f-aaaaaaaaaaaa",
        name="db-01",
        interval=30,
        timeout=15,
        depth=Stage.WEBSOCKET,
        labels=(("rack", "r12"), ("team", "storage")),
    )
    assert (second.name, second.interval, second.labels) == (second.id, 60, ())
    assert key_pair.auth == AkskAuth(Secret("AKEXAMPLE"), Secret("SKEXAMPLE"), Secret("SECTOK"))
    assert key_pair.project_id == "0123"
    assert machine.auth == AgencyAuth("http://169.254.169.254")
    assert ready.auth == TokenAuth(Secret("hunter2"))
    assert config.global_.history == 50


def test_default_endpoints_contain_the_region(load_text: Load, minimal: str) -> None:
    [project] = load_text(minimal).projects
    assert project.endpoint == "https://clouddc.cn-southwest-2.myhuaweicloud.com"
    assert (project.rate_limit, project.timeout) == (RateLimit(5.0, 5), 10)
    text = minimal.replace(
        "{type: token, token: t0ken}", "{type: password, username: u, password: p, domain: d}"
    )
    auth = load_text(text).projects[0].auth
    assert isinstance(auth, PasswordAuth)
    assert auth.iam_endpoint == "https://iam.cn-southwest-2.myhuaweicloud.com"


def test_server_overrides_project_and_project_overrides_global(
    load_text: Load, minimal: str
) -> None:
    config = load_text(
        "global: {interval: 5m, timeout: 4m}\n"
        + minimal
        + "    interval: 2m\n    timeout: 1m\n"
        + "    servers: [{id: a}, {id: b, interval: 3m}, {id: c, timeout: 30s}]\n"
    )
    times = [(server.interval, server.timeout) for server in config.projects[0].servers]
    assert times == [(120, 60), (180, 60), (120, 30)]


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("0123456789012345", "0123456789012345"),
        ("0777", "0777"),
        ("12e4", "12e4"),
        ("1_000", "1_000"),
        ("on", "on"),
        ("no", "no"),
        ("true", "true"),
        ("2024-01-01", "2024-01-01"),
        ("0x1F", "0x1F"),
        ('"null"', "null"),
        ("!!str null", "null"),
        ("'it''s'", "it's"),
    ],
)
def test_scalars_stay_text_as_written(
    written: str, expected: str, load_text: Load, minimal: str
) -> None:
    config = load_text(f"{minimal}    servers: [{{id: a, name: {written}}}]\n")
    assert config.projects[0].servers[0].name == expected


def test_sexagesimal_label_stays_text(load_text: Load, minimal: str) -> None:
    config = load_text(f"{minimal}    servers: [{{id: a, labels: {{on: 1:30, y: no}}}}]\n")
    assert config.projects[0].servers[0].labels == (("on", "1:30"), ("y", "no"))


def test_variables_are_replaced_in_text_and_numbers(load_text: Load, minimal: str) -> None:
    config = load_text(
        minimal.replace("t0ken", '"${A}-${B}"')
        + "    rate_limit:\n      requests_per_second: ${RATE}\n      burst: ${BURST}\n",
        {"A": "${B}", "B": "x#y", "RATE": "2.5", "BURST": "7"},
    )
    [project] = config.projects
    assert project.auth == TokenAuth(Secret("${B}-x#y"))
    assert project.rate_limit == RateLimit(2.5, 7)


def test_variable_cannot_add_structure(load_text: Load, minimal: str) -> None:
    config = load_text(
        minimal + "    servers:\n      - id: a\n        name: ${NAME}\n", {"NAME": "{x: [y]}"}
    )
    assert config.projects[0].servers[0].name == "{x: [y]}"


def test_empty_variable_is_empty_text(errors: Errors, minimal: str) -> None:
    text = minimal + "    servers:\n      - id: a\n        name: ${NAME}\n"
    [message] = errors(text, {"NAME": ""})
    assert message.startswith("projects[0].servers[0].name: expected 1 to 128 printable")
    assert message.endswith("got another value from the environment")


def test_dollar_without_braces_stays_and_double_dollar_escapes(
    load_text: Load, minimal: str
) -> None:
    config = load_text(minimal.replace("t0ken", '"pa$$w$rd-$${HOME}"'), {"w": "no"})
    assert config.projects[0].auth == TokenAuth(Secret("pa$$w$rd-${HOME}"))


def test_anchors_aliases_and_merge_keys_are_supported(load_text: Load, minimal: str) -> None:
    config = load_text(
        minimal
        + "    servers:\n"
        + "      - &base {id: a, interval: 30s, labels: &rack {rack: r1}}\n"
        + "      - {<<: *base, id: b}\n"
        + "      - {id: c, labels: *rack}\n"
    )
    a, b, c = config.projects[0].servers
    assert a.interval == b.interval == 30
    assert a.labels == b.labels == c.labels
    assert (b.id, b.name) == ("b", "b")


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("http://127.0.0.1:18080", "http://127.0.0.1:18080"),
        ("http://127.9.9.9", "http://127.9.9.9"),
        ("http://localhost:80/", "http://localhost:80"),
        ('"http://[::1]:8080"', "http://[::1]:8080"),
        ("HTTPS://CloudDC.Example.COM:8443/", "https://clouddc.example.com:8443"),
    ],
)
def test_endpoints_are_normalized_to_scheme_host_and_port(
    written: str, expected: str, load_text: Load, minimal: str
) -> None:
    config = load_text(f"{minimal}    endpoint: {written}\n")
    assert config.projects[0].endpoint == expected


def test_proxy_url_with_login_is_accepted_and_never_shown(load_text: Load, minimal: str) -> None:
    config = load_text(f"{minimal}    proxy_url: http://user:hunter2@proxy:3128\n")
    [project] = config.projects
    assert project.proxy_url == Secret("http://user:hunter2@proxy:3128")
    assert "hunter2" not in repr(config) + as_yaml(config)


def test_digest_covers_the_bytes_of_the_file(load_text: Load, minimal: str) -> None:
    raw = b"\xef\xbb\xbf" + minimal.encode().replace(b"\n", b"\r\n")
    assert load_text(raw).sha256 == hashlib.sha256(raw).digest()


def test_unreadable_file_is_one_error_without_position(tmp_path: Path) -> None:
    for path, reason in (
        (tmp_path / "none.yaml", "cannot be read: No such file or directory"),
        (tmp_path, "cannot be read: Is a directory"),
        (Path("a\0b"), "cannot be read: invalid path"),
    ):
        with pytest.raises(ConfigError) as caught:
            load(path, {})
        assert str(caught.value) == f"{path}: {reason}"
        [detail] = caught.value.details
        assert (detail.file, detail.line, detail.column, detail.path) == (path, 0, 0, "")


def test_file_that_is_too_large_is_rejected(tmp_path: Path) -> None:
    path = tmp_path / "large.yaml"
    with path.open("wb") as stream:
        stream.truncate(65 * 1024**2)
    with pytest.raises(ConfigError, match="is larger than 64 MiB"):
        load(path, {})


def test_error_in_a_merged_value_is_reported_for_each_server(errors: Errors, minimal: str) -> None:
    messages = errors(
        minimal
        + "    servers:\n"
        + "      - &base {id: a, interval: soon}\n"
        + "      - {<<: *base, id: b}\n"
    )
    message = "expected a duration such as 30s or 1h30m, got 'soon'"
    assert messages == [f"projects[0].servers[{n}].interval: {message}" for n in (0, 1)]


def test_importing_exporter_config_does_not_import_pydantic_or_yaml() -> None:
    program = "import sys, exporter.config; print({'pydantic', 'yaml'} & set(sys.modules))"
    completed = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert completed.stdout.decode().strip() == "set()"


def test_ten_thousand_servers_are_loaded(load_text: Load, minimal: str) -> None:
    servers = "".join(
        f"      - id: 7c9ad6b8-b87e-43ae-8b3f-{n:012x}\n        labels: {{rack: r{n % 40}}}\n"
        for n in range(10_000)
    )
    config = load_text(f"{minimal}    servers:\n{servers}")
    assert len({server.id for server in config.projects[0].servers}) == 10_000
