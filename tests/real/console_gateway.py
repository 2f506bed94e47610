"""Run a real console gateway: TigerVNC behind websockify."""

import contextlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from exporter.cloud.observer import ProjectObserver, Unobserved
from exporter.config.config import Console, Tls
from exporter.config.host_pattern import HostPattern
from exporter.model import ProbeResult, Stage
from tests.real.broken_responses import answers
from tests.real.broken_servers import BrokenServer
from tests.real.certificates import Certificates, PemFiles
from tests.real.cloud_responses import console_address
from tests.real.leak_check import asserting_no_leaks
from tests.real.probing import AMPLE_TIMEOUT, Probe, probe_once, probing
from tests.real.programs import Program
from tests.real.raw_console import TOKEN
from tests.real.vnc import vnc_server
from tests.real.websockify import websockify

EXPIRES = datetime(2037, 1, 1, tzinfo=UTC)
"""Expiry of the gateway's certificate."""
QUERY = f"token={TOKEN}&compression=9&quality=0&resize=scale"


@dataclass(frozen=True, slots=True)
class Gateway:
    """A running console gateway; the file ``tokens`` maps tokens to VNC servers."""

    folder: Path
    certificates: Certificates
    authority: Path
    pem: PemFiles
    tokens: Path
    vnc: Program
    proxy: Program

    @property
    def url(self) -> str:
        """Return the address of websockify."""
        return self.proxy.url

    @property
    def trusting(self) -> Tls:
        """Return TLS settings that trust the gateway."""
        return Tls(ca_file=self.authority)


@contextlib.contextmanager
def console_gateway(folder: Path, *vnc_parameters: str) -> Iterator[Gateway]:
    """Run TigerVNC and websockify with a valid token."""
    certificates = Certificates()
    authority = certificates.write_authority(folder / "ca.pem")
    pem = certificates.write_good(folder, EXPIRES)
    tokens = folder / "tokens"
    with vnc_server(*vnc_parameters) as vnc, websockify(tokens, pem) as proxy:
        tokens.write_text(f"{TOKEN}: {vnc.url}\n")
        yield Gateway(folder, certificates, authority, pem, tokens, vnc, proxy)


def page(base: str, query: str = QUERY) -> str:
    """Return the address of noVNC's page, as returned by the cloud's API."""
    return f"{base}/vnc_auto.html?{query}"


def trusted(tls: Tls | None = None) -> Console:
    """Return console settings that allow loopback addresses."""
    return Console(allowed_hosts=(HostPattern.parse("127.0.0.1"),), tls=tls or Tls())


@contextlib.asynccontextmanager
async def probing_console(
    address: str,
    tls: Tls | None = None,
    *,
    timeout: float = AMPLE_TIMEOUT,  # noqa: ASYNC109 - the target's own setting
    depth: Stage = Stage.RFB,
    observer: ProjectObserver = Unobserved(),  # noqa: B008 - stateless
) -> AsyncIterator[Probe]:
    """Yield a function that probes the console at ``address``."""
    async with (
        asserting_no_leaks(),
        BrokenServer(answers(console_address(address))) as api,
        probing(
            api.url, timeout=timeout, depth=depth, console=trusted(tls), observer=observer
        ) as probe,
    ):
        yield probe


async def probe_console(
    address: str,
    tls: Tls | None = None,
    *,
    timeout: float = AMPLE_TIMEOUT,  # noqa: ASYNC109 - the target's own setting
    depth: Stage = Stage.RFB,
) -> ProbeResult:
    """Probe the console at ``address`` once."""
    async with asserting_no_leaks(), BrokenServer(answers(console_address(address))) as api:
        result = await probe_once(api.url, timeout=timeout, depth=depth, console=trusted(tls))
    assert TOKEN not in repr(result)
    return result
