"""A real console as people run it: TigerVNC behind websockify, with what a test turns."""

import contextlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from exporter.cloud.observer import ProjectObserver, Unobserved
from exporter.config.config import Console, Tls
from exporter.config.host_pattern import HostPattern
from exporter.model import ProbeResult, Stage
from tests.real.broken_answers import answers
from tests.real.broken_servers import BrokenServer
from tests.real.certificates import Certificates, PemFiles
from tests.real.cloud_answers import console_address
from tests.real.open_files import leaving_nothing_behind
from tests.real.probing import IN_TIME, Probe, probe_once, probing
from tests.real.programs import Program
from tests.real.raw_console import TOKEN
from tests.real.vnc import vnc_server
from tests.real.websockify import websockify

EXPIRES = datetime(2037, 1, 1, tzinfo=UTC)
"""The end of the gateway's certificate."""
QUERY = f"token={TOKEN}&compression=9&quality=0&resize=scale"


@dataclass(frozen=True, slots=True)
class Gateway:
    """A running console gateway; ``tokens`` names the VNC server of each token."""

    folder: Path
    certificates: Certificates
    authority: Path
    pem: PemFiles
    tokens: Path
    vnc: Program
    proxy: Program

    @property
    def url(self) -> str:
        """Return where websockify listens."""
        return self.proxy.url

    @property
    def trusting(self) -> Tls:
        """Return the settings of a client that trusts the gateway."""
        return Tls(ca_file=self.authority)


@contextlib.contextmanager
def console_gateway(folder: Path, *vnc_parameters: str) -> Iterator[Gateway]:
    """Run both; the token is known."""
    certificates = Certificates()
    authority = certificates.write_authority(folder / "ca.pem")
    pem = certificates.write_good(folder, EXPIRES)
    tokens = folder / "tokens"
    with vnc_server(*vnc_parameters) as vnc, websockify(tokens, pem) as proxy:
        tokens.write_text(f"{TOKEN}: {vnc.url}\n")
        yield Gateway(folder, certificates, authority, pem, tokens, vnc, proxy)


def page(base: str, query: str = QUERY) -> str:
    """Return the address of noVNC's page, as the cloud's API hands it out."""
    return f"{base}/vnc_auto.html?{query}"


def trusted(tls: Tls | None = None) -> Console:
    """Return the settings that let a probe go to consoles on loopback."""
    return Console(allowed_hosts=(HostPattern.parse("127.0.0.1"),), tls=tls or Tls())


@contextlib.asynccontextmanager
async def probing_console(
    address: str,
    tls: Tls | None = None,
    *,
    timeout: float = IN_TIME,  # noqa: ASYNC109 - the target's own setting
    observer: ProjectObserver = Unobserved(),  # noqa: B008 - it holds nothing
) -> AsyncIterator[Probe]:
    """Yield what probes the console at ``address`` to the last stage."""
    async with (
        leaving_nothing_behind(),
        BrokenServer(answers(console_address(address))) as api,
        probing(
            api.url, timeout=timeout, depth=Stage.RFB, console=trusted(tls), observer=observer
        ) as probe,
    ):
        yield probe


async def probe_console(
    address: str,
    tls: Tls | None = None,
    *,
    timeout: float = IN_TIME,  # noqa: ASYNC109 - the target's own setting
) -> ProbeResult:
    """Probe the console at ``address`` once, to the last stage."""
    async with leaving_nothing_behind(), BrokenServer(answers(console_address(address))) as api:
        result = await probe_once(api.url, timeout=timeout, depth=Stage.RFB, console=trusted(tls))
    assert TOKEN not in repr(result)
    return result
