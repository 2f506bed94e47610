"""Tests of failing name servers and dropped packets, in a separate network namespace.

The system's resolver uses a test name server. Console names are resolved for every probe, the
cloud's names are cached for ten seconds.
"""

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from tests.real.certificates import Certificates
from tests.real.endurance import Environment, Fault, Observation, configuration, simulated_cloud
from tests.real.machine_stalls import retry_until_undisturbed
from tests.real.name_server import DnsBehaviour, name_server
from tests.real.nginx import nginx, passing
from tests.real.own_namespace import in_own_namespace
from tests.real.privileges import require_root
from tests.real.programs import exporter, required

pytestmark = pytest.mark.alone

NAMED = ("failing", "silent")
PROJECTS = dict.fromkeys((*NAMED, "vanished", "plain"), 4)
_NAME_SERVER, _LOOPBACK = "127.0.0.53", "127.0.0.1"
# The default settings, except for a timeout of 1 s instead of 5 s.
_RESOLV_CONF = f"nameserver {_NAME_SERVER}\noptions timeout:1 attempts:2\n"
# A running look-up is retried within 2 s after the name server has recovered.
_RECOVERY_SECONDS = 6.0


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Observation]:
    """Return the metrics of each project before, during and after its fault."""
    require_root()
    required("nft")
    folders = [tmp_path_factory.mktemp(name) for name in ("network", "named", "vanished")]
    resolv_conf = folders[0] / "resolv.conf"
    resolv_conf.write_text(_RESOLV_CONF)
    return retry_until_undisturbed(
        lambda: in_own_namespace(lambda: _run_faults(*folders), resolv_conf)
    )


def test_a_failing_name_server_is_a_dns_error(seen: dict[str, Observation]) -> None:
    assert set(seen["failing"].outcomes) == {"dns_error"}
    assert seen["failing"].verdicts == {0}


def test_a_silent_name_server_is_a_timeout(seen: dict[str, Observation]) -> None:
    # A probe may wait for a look-up that an earlier probe started.
    assert set(seen["silent"].outcomes) <= {"timeout", "dns_error"}
    assert seen["silent"].outcomes["timeout"] > 0
    assert seen["silent"].verdicts == {0}


def test_dropped_packets_of_the_api_change_no_verdict(
    seen: dict[str, Observation],
) -> None:
    assert set(seen["vanished"].outcomes) == {"unreachable"}
    assert seen["vanished"].verdicts == {1}


def _run_faults(folder: Path, named_folder: Path, vanished_folder: Path) -> dict[str, Observation]:
    certificates = Certificates()
    authority = certificates.write_authority(folder / "ca.pem")
    pem = certificates.write_good(folder)
    with ExitStack() as running:
        names = running.enter_context(name_server(_NAME_SERVER, _LOOPBACK))
        cloud = running.enter_context(simulated_cloud(folder, PROJECTS))
        consoles = httpx.URL(cloud.url).port
        # The simulated cloud uses the request's Host header in console addresses.
        locations = [
            passing(
                f"/v1/id-of-{name}/", cloud.url, f"proxy_set_header Host {name}.test:{consoles};"
            )
            for name in NAMED
        ]
        front = running.enter_context(nginx(named_folder, pem, *locations))
        alone = running.enter_context(nginx(vanished_folder, pem, passing("/", cloud.url)))
        config = folder / "config.yaml"
        endpoints = {name: front.url.replace(_LOOPBACK, f"{name}.test") for name in NAMED} | {
            "vanished": alone.url
        }
        depths = dict.fromkeys(NAMED, "page") | {"vanished": "api"}
        config.write_text(configuration(PROJECTS, cloud.url, endpoints, authority, depths))
        ours = running.enter_context(exporter(config, None, "--log.format=json"))
        return Environment(ours, cloud, PROJECTS, {}, front, certificates).run_faults(
            {
                "failing": Fault(
                    names.behaving(DnsBehaviour.FAILING, "failing.test"), _RECOVERY_SECONDS
                ),
                "silent": Fault(
                    names.behaving(DnsBehaviour.SILENT, "silent.test"), _RECOVERY_SECONDS
                ),
                "vanished": Fault(_dropped(httpx.URL(alone.url).port or 0)),
            }
        )


@contextmanager
def _dropped(port: int) -> Iterator[None]:
    """Drop every packet to and from a port, including those of open connections."""
    rules = f"""
table inet endured {{
  chain arriving {{
    type filter hook input priority 0;
    tcp dport {port} drop
    tcp sport {port} drop
  }}
}}
"""
    subprocess.run(["nft", "-f", "-"], input=rules, text=True, check=True)
    try:
        yield
    finally:
        subprocess.run(["nft", "delete", "table", "inet", "endured"], check=True)
