"""Tests of TLS, authentication and systemd sockets with a running exporter and Prometheus."""

import contextlib
import re
import shlex
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.real.access import LOGIN, PASSWORD, USER, WebConfigFiles, bcrypt_hash
from tests.real.programs import command, exporter, program, prometheus, required, until
from tests.real.simulated_project import write_config

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs" / "access.md").read_text()
SCRAPE = """\
    scheme: https
    tls_config: {ca_file: authority.crt, cert_file: prometheus.crt, key_file: prometheus.key}
    basic_auth: {username: prometheus, password_file: password}
"""


@pytest.fixture
def config(tmp_path: Path, cloud: str, servers: list[tuple[str, str]]) -> Path:
    return write_config(tmp_path / "config.yaml", cloud, servers[:3])


@pytest.fixture
def web_files(tmp_path: Path) -> WebConfigFiles:
    """Return the example of the documentation with a known password."""
    web_files = WebConfigFiles(tmp_path)
    example = re.findall(r"```yaml\n(.*?)```", DOCUMENT, re.DOTALL)[0]
    web_files.issue("exporter", "127.0.0.1", "localhost")
    web_files.issue("prometheus", "prometheus.example.com")
    web_files.write_authority("clients-ca.crt")
    web_files.write_authority()
    (tmp_path / "password").write_text(PASSWORD)
    web_files.web_config.write_text(re.sub(r"\$2y\$.*", bcrypt_hash(PASSWORD), example))
    return web_files


def test_the_documented_example_is_valid_for_promtool_and_the_exporter(
    web_files: WebConfigFiles, config: Path
) -> None:
    for one in (
        [required("promtool"), "check", "web-config", str(web_files.web_config)],
        [
            sys.executable, "-m", "exporter", "check-config",
            f"--config.file={config}", f"--web.config.file={web_files.web_config}",
        ],
    ):  # fmt: skip
        subprocess.run(one, check=True, capture_output=True)


def test_the_tested_scrape_configuration_is_documented() -> None:
    assert SCRAPE in DOCUMENT


def test_an_invalid_web_configuration_is_an_error_at_the_start(
    web_files: WebConfigFiles, config: Path
) -> None:
    web_files.web_config.write_text("basic_auth_users: {a: hunter2}")
    for name in ("serve", "check-config"):
        done = command(name, f"--config.file={config}", f"--web.config.file={web_files.web_config}")
        assert done.returncode == 1
        assert f"{web_files.web_config}:1:23: basic_auth_users.a: expected a bcrypt" in done.stderr
        assert "hunter2" not in done.stdout + done.stderr


def test_prometheus_scrapes_with_tls_client_certificate_and_password(
    web_files: WebConfigFiles, config: Path, tmp_path: Path
) -> None:
    # Prometheus' own web server uses the same file.
    ours = exporter(config, None, f"--web.config.file={web_files.web_config}")
    with ours as running:
        both = prometheus(
            tmp_path,
            running.url,
            scrape=SCRAPE,
            flags=(f"--web.config.file={web_files.web_config}",),
        )
        with both as server:
            url = server.url.replace("http:", "https:")
            with web_files.client(url, "prometheus") as client:

                def up() -> bool:
                    response = client.get(
                        "/api/v1/query", params={"query": "console_probe_success"}
                    )
                    return len(response.json()["data"]["result"]) == 3

                until(up, 20)
            with pytest.raises(httpx.TransportError):
                web_files.client(f"https://{running.url}").get("/metrics")
            with web_files.client(f"https://{running.url}", "prometheus") as client:
                assert client.get("/metrics").status_code == 200
                assert client.get("/metrics", auth=(USER, "wrong")).status_code == 401
                assert client.get("/metrics", auth=None).status_code == 401
                assert "strict-transport-security" in client.get("/metrics").headers


def test_changed_files_apply_at_once_and_invalid_ones_are_ignored(
    web_files: WebConfigFiles, config: Path
) -> None:
    text = web_files.web_config.read_text().replace("RequireAndVerifyClientCert", "NoClientCert")
    text = re.sub(r"  client_ca_file.*\n", "", text)
    web_files.web_config.write_text(text)
    with exporter(
        config, None, f"--web.config.file={web_files.web_config}", "--log.level=debug"
    ) as ours:
        url = f"https://{ours.url}"

        def status(login: tuple[str, str] = LOGIN) -> int:
            with web_files.client(url, login=login) as client:
                return client.get("/metrics").status_code

        def certificate() -> str:
            host, port = ours.url.split(":")
            return ssl.get_server_certificate((host, int(port)))

        assert status() == 200
        # A new certificate applies to the next connection.
        web_files.issue("exporter", "127.0.0.1", "localhost")
        assert certificate() == (web_files.folder / "exporter.crt").read_text()
        assert status() == 200
        # With an invalid file the old users stay valid, and an error is logged.
        web_files.web_config.write_text(text + "  nobody: CANARYSECRET\n")
        assert status() == 200
        until(lambda: "web configuration not loaded" in ours.output, 30)
        # A removed user is rejected even if cached and on an open connection.
        other = text.replace(f"{USER}:", "other:")
        with web_files.client(url) as open_client:
            assert open_client.get("/metrics").status_code == 200
            web_files.web_config.write_text(other)
            assert open_client.get("/metrics").status_code == 401
        assert status(("other", PASSWORD)) == 200
        # A new password for the same user.
        web_files.web_config.write_text(re.sub(r"\$2y\$.*", bcrypt_hash("another", 4), text))
        assert status() == 401
        assert status((USER, "another")) == 200
        ours.stop()
    output = ours.output
    (stored,) = re.findall(r"\$2y\S+", text)
    for secret in (PASSWORD, "CANARYSECRET", stored, "Basic ", "PRIVATE KEY", "another"):
        assert secret not in output


@pytest.fixture
def prefixed(web_files: WebConfigFiles, config: Path) -> Iterator[str]:
    web_files.web_config.write_text(f"basic_auth_users: {{{USER}: {bcrypt_hash(PASSWORD, 4)}}}")
    with exporter(
        config,
        None,
        f"--web.config.file={web_files.web_config}",
        "--web.external-url=https://tools.example/console",
        "--web.open-health-checks",
    ) as ours:
        yield f"http://{ours.url}"


def test_all_paths_have_the_prefix(prefixed: str) -> None:
    with httpx.Client(base_url=prefixed, auth=LOGIN) as client:
        assert client.get("/").headers["location"] == "/console/"
        page = client.get("/", follow_redirects=True)
        assert page.status_code == 200
        (style,) = re.findall(r'href="([^"]+\.css[^"]*)"', page.text)
        assert client.get(page.url.join(style)).status_code == 200
        for path in ("metrics", "-/healthy", "-/ready", "config"):
            assert client.get(f"/console/{path}").status_code == 200
            assert client.get(f"/{path}").status_code == 404
        assert httpx.get(f"{prefixed}/console/-/healthy").status_code == 200
        assert httpx.get(f"{prefixed}/console/config").status_code == 401


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Origin": "https://tools.example"}, 200),
        ({"Origin": "https://evil.example", "Content-Type": "text/plain"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
    ],
)
def test_a_reload_from_another_origin_is_rejected(
    prefixed: str, headers: dict[str, str], status: int
) -> None:
    response = httpx.post(f"{prefixed}/console/-/reload", headers=headers, auth=LOGIN)
    assert response.status_code == status


def test_the_exporter_listens_on_several_addresses(config: Path) -> None:
    with exporter(config, None, "--web.listen-address=127.0.0.2:0") as ours:
        until(lambda: "127.0.0.2:" in ours.output, 30)
        (other,) = re.findall(r"address=(127\.0\.0\.2:\d+)", ours.output)
        for address in (ours.url, other):
            assert httpx.get(f"http://{address}/-/ready").status_code == 200


@pytest.mark.parametrize("flag", ["--web.external-url=nonsense", "--web.route-prefix=/a?b"])
def test_an_invalid_flag_is_a_one_line_error(config: Path, flag: str) -> None:
    done = command("serve", f"--config.file={config}", flag)
    assert done.returncode == 1
    assert done.stderr.startswith("--web.")
    assert len(done.stderr.splitlines()) == 1


class TestSystemd:
    def serve(self, config: Path, *flags: str) -> list[str]:
        return [sys.executable, "-W", "error", "-m", "exporter", "serve",
                f"--config.file={config}", *flags]  # fmt: skip

    def test_inherited_sockets_are_served(self, config: Path, tmp_path: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(socket.AF_UNIX) as unix:
            unix.bind(str(tmp_path / "socket"))
            unix.listen()
            inherited = (tcp.fileno(), unix.fileno())
            # As systemd does: descriptors start at 3, LISTEN_PID is the id of the service.
            script = (
                f"exec 3<&{inherited[0]} 4<&{inherited[1]};"
                " LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=web:unix exec "
                + shlex.join(self.serve(config, "--web.systemd-socket"))
            )
            with program([required("bash"), "-c", script], "unix:", inherited=inherited) as ours:
                port = tcp.getsockname()[1]
                assert httpx.get(f"http://127.0.0.1:{port}/-/ready").status_code == 200
                over_unix = httpx.HTTPTransport(uds=str(tmp_path / "socket"))
                with httpx.Client(transport=over_unix, base_url="http://h") as client:
                    assert client.get("/-/ready").status_code == 200
                assert ours.stop() == 0
            assert "address=127.0.0.1" in ours.output

    def test_missing_sockets_are_an_error(self, config: Path) -> None:
        done = command("serve", f"--config.file={config}", "--web.systemd-socket")
        assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
        assert "systemd" in done.stderr

    @pytest.mark.parametrize("abstract", [False, True])
    def test_systemd_is_notified_of_every_step(
        self,
        config: Path,
        tmp_path: Path,
        abstract: bool,  # noqa: FBT001 - a kind of socket
    ) -> None:
        name = f"@console-exporter-test-{tmp_path.name}" if abstract else str(tmp_path / "notify")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify_socket:
            notify_socket.bind(name.replace("@", "\0", 1) if abstract else name)
            notify_socket.settimeout(10)

            def received(word: str) -> dict[str, str]:
                while True:
                    lines = notify_socket.recv(4096).decode().splitlines()
                    message = dict(line.split("=", 1) for line in lines)
                    if word in message:
                        return message

            environ = {"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "400000"}
            with exporter(config, environ) as ours:
                assert received("READY")["STATUS"] == "3 servers"
                assert received("WATCHDOG")
                assert received("WATCHDOG")
                httpx.post(f"http://{ours.url}/-/reload")
                assert int(received("RELOADING")["MONOTONIC_USEC"]) > 0
                assert received("READY")["STATUS"] == "3 servers"
                config.write_text("nonsense")
                httpx.post(f"http://{ours.url}/-/reload")
                assert received("RELOADING")
                assert "invalid" in received("READY")["STATUS"]
                ours.stop()
                assert received("STOPPING")


def until_silence(notify_socket: socket.socket) -> Iterator[bytes]:
    with contextlib.suppress(TimeoutError):
        while True:
            yield notify_socket.recv(4096)


def test_a_stuck_event_loop_sends_no_watchdog_notification(config: Path, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify_socket:
        notify_socket.bind(str(tmp_path / "notify"))
        environ = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "200000"}
        with exporter(config, environ) as ours:
            ours.process.send_signal(signal.SIGSTOP)
            notify_socket.settimeout(0.5)
            assert len(list(until_silence(notify_socket))) < 30
            ours.process.send_signal(signal.SIGCONT)
            notify_socket.settimeout(5)
            assert notify_socket.recv(4096) == b"WATCHDOG=1"
