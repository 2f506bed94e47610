"""Web configuration, certificates and clients for tests of the web server's access control."""

from dataclasses import dataclass, field
from pathlib import Path

import bcrypt
import httpx
import trustme

from tests.real.certificates import client_context

USER, PASSWORD = "prometheus", "correct horse battery staple"
LOGIN = (USER, PASSWORD)


def bcrypt_hash(password: str, cost: int = 10) -> str:
    """Return a bcrypt hash in the format of htpasswd."""
    hashed = bcrypt.hashpw(password.encode(), bcrypt.gensalt(cost)).decode()
    return hashed.replace("$2b$", "$2y$")


@dataclass(frozen=True, slots=True)
class WebConfigFiles:
    """A folder with a web configuration and its certificates."""

    folder: Path
    authority: trustme.CA = field(default_factory=trustme.CA)

    @property
    def web_config(self) -> Path:
        """Return the path of the web configuration."""
        return self.folder / "web.yml"

    def issue(self, name: str, *names: str) -> Path:
        """Write NAME.crt and NAME.key; return the certificate's path."""
        issued = self.authority.issue_cert(*names)
        issued.cert_chain_pems[0].write_to_path(str(self.folder / f"{name}.crt"))
        issued.private_key_pem.write_to_path(str(self.folder / f"{name}.key"))
        return self.folder / f"{name}.crt"

    def write_authority(self, name: str = "authority.crt") -> Path:
        """Write the authority's certificate."""
        self.authority.cert_pem.write_to_path(str(self.folder / name))
        return self.folder / name

    def client(
        self, url: str, certificate: str = "", login: tuple[str, str] = LOGIN
    ) -> httpx.Client:
        """Return a client that trusts the authority, optionally with a client certificate NAME."""
        context = client_context(self.write_authority())
        if certificate:
            context.load_cert_chain(
                self.folder / f"{certificate}.crt", self.folder / f"{certificate}.key"
            )
        return httpx.Client(base_url=url, verify=context, auth=login)
