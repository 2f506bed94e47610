"""Names that cannot be resolved and peers that vanish, in a network of our own.

The system's own resolver asks a name server of ours. Consoles are looked up for every probe, the
cloud's names are remembered for ten seconds.
"""

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from tests.real.certificates import Certificates
from tests.real.endurance import Fault, Seen, Stage, configuration, simulated_cloud
from tests.real.name_server import Manner, name_server
from tests.real.nginx import nginx, passing
from tests.real.own_namespace import in_own_namespace
from tests.real.programs import exporter, required
from tests.real.rights import as_root
from tests.real.standstill import undisturbed

pytestmark = pytest.mark.alone

NAMED = ("failing", "silent")
PROJECTS = dict.fromkeys((*NAMED, "vanished", "plain"), 4)
_NAME_SERVER, _LOOPBACK = "127.0.0.53", "127.0.0.1"
# As it is by default, save that an answer is waited for one second and not five.
_RESOLV_CONF = f"nameserver {_NAME_SERVER}\noptions timeout:1 attempts:2\n"
# A look-up under way when the name server comes back is asked anew within two seconds.
_PATIENCE = 6.0


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Seen]:
    """Return what the metrics showed of each project while its fault came and went."""
    as_root()
    required("nft")
    folders = [tmp_path_factory.mktemp(name) for name in ("network", "named", "vanished")]
    resolv_conf = folders[0] / "resolv.conf"
    resolv_conf.write_text(_RESOLV_CONF)
    return undisturbed(lambda: in_own_namespace(lambda: _endured(*folders), resolv_conf))


def test_a_name_server_that_fails_is_a_failure_of_dns(seen: dict[str, Seen]) -> None:
    assert set(seen["failing"].outcomes) == {"dns_error"}
    assert seen["failing"].verdicts == {0}


def test_a_name_server_that_is_silent_costs_the_deadline(seen: dict[str, Seen]) -> None:
    # A probe may come to the end of a look-up that an earlier one began.
    assert set(seen["silent"].outcomes) <= {"timeout", "dns_error"}
    assert seen["silent"].outcomes["timeout"] > 0
    assert seen["silent"].verdicts == {0}


def test_a_peer_that_vanishes_without_a_word_costs_the_deadline(seen: dict[str, Seen]) -> None:
    assert set(seen["vanished"].outcomes) == {"timeout"}
    assert seen["vanished"].verdicts == {0}


def _endured(folder: Path, of_named: Path, of_vanished: Path) -> dict[str, Seen]:
    certificates = Certificates()
    authority = certificates.write_authority(folder / "ca.pem")
    pem = certificates.write_good(folder)
    with ExitStack() as running:
        names = running.enter_context(name_server(_NAME_SERVER, _LOOPBACK))
        cloud = running.enter_context(simulated_cloud(folder, PROJECTS))
        consoles = httpx.URL(cloud.url).port
        # The cloud makes its console addresses of the host that it was asked by.
        ways = [
            passing(
                f"/v1/id-of-{name}/", cloud.url, f"proxy_set_header Host {name}.test:{consoles};"
            )
            for name in NAMED
        ]
        front = running.enter_context(nginx(of_named, pem, *ways))
        alone = running.enter_context(nginx(of_vanished, pem, passing("/", cloud.url)))
        config = folder / "config.yaml"
        endpoints = {name: front.url.replace(_LOOPBACK, f"{name}.test") for name in NAMED} | {
            "vanished": alone.url
        }
        depths = dict.fromkeys(NAMED, "page") | {"vanished": "api"}
        config.write_text(configuration(PROJECTS, cloud.url, endpoints, authority, depths))
        ours = running.enter_context(exporter(config, None, "--log.format=json"))
        return Stage(ours, cloud, PROJECTS, {}, front, certificates).endure(
            {
                "failing": Fault(names.being(Manner.FAILING, "failing.test"), _PATIENCE),
                "silent": Fault(names.being(Manner.SILENT, "silent.test"), _PATIENCE),
                "vanished": Fault(_dropped(httpx.URL(alone.url).port or 0)),
            }
        )


@contextmanager
def _dropped(port: int) -> Iterator[None]:
    """Drop every packet to a port, those of open connections too."""
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
