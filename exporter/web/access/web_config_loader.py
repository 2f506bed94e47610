"""Load a web configuration file and its certificates, or report every error."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from exporter.config.environment import Data, literal
from exporter.config.errors import ConfigError, Finding
from exporter.config.pem import check_ca_file, check_key_pair, pem_files
from exporter.config.validation_errors import explain
from exporter.config.yaml_file import locate, parse_document, read_bytes
from exporter.web.access.tls_names import NEWEST, OLDEST, ClientCertificate
from exporter.web.access.web_config import (
    Headers,
    HttpServer,
    ServerTls,
    WebConfig,
    WebConfigFile,
)

_MAX_BYTES = 1024 * 1024
_FILE = TypeAdapter(WebConfigFile)
_SECTION = "tls_server_config"
_SECTIONS: dict[str, type] = {
    "": WebConfigFile,
    _SECTION: ServerTls,
    "http_server_config": HttpServer,
    "headers": Headers,
}
_EXPECTED = (
    "tls_server_config, http_server_config or basic_auth_users; omit --web.config.file to"
    " serve plain HTTP without a login"
)


def load_web_config(path: Path) -> WebConfig:
    """Load and check the web configuration at ``path``; paths in it are relative to its directory.

    ``${VAR}`` is not expanded, because the format of exporter-toolkit does not have it.
    Raises `ConfigError` with every error found.
    """
    document = parse_document(path, read_bytes(path, _MAX_BYTES), _EXPECTED)
    file, findings = _validated(literal(document.root))
    pem = _PemTexts(path.parent, findings)
    tls = file.tls if file is not None else None
    if tls is not None:
        findings += _contradictions(tls)
        tls = pem.read(tls)
    details = locate(path, document, [findings])
    if file is None or details:
        raise ConfigError(details)
    return WebConfig(tls=tls, http=file.http, users=file.users, files=(path, *pem.files))


def _validated(data: Data) -> tuple[WebConfigFile | None, list[Finding]]:
    try:
        return _FILE.validate_python(data), []
    except ValidationError as error:
        return None, explain(error, _SECTIONS)


class _PemTexts:
    """Reads and checks the PEM files of a section; errors are added to ``findings``."""

    def __init__(self, folder: Path, findings: list[Finding]) -> None:
        self._folder = folder
        self._findings = findings
        self.files: list[Path] = []

    def read(self, section: ServerTls) -> ServerTls:
        """Return the section with the texts of its files."""
        read = replace(
            section,
            certificate=self._text("cert_file", section.cert_file) or section.certificate,
            key=self._text("key_file", section.key_file) or section.key,
            client_ca=self._text("client_ca_file", section.client_ca_file) or section.client_ca,
        )
        if read.certificate and read.key:
            self._check_pair("key" if section.key else "key_file", read)
        if read.client_ca:
            self._check_authorities("client_ca" if section.client_ca else "client_ca_file", read)
        return read

    def _text(self, key: str, file: Path | None) -> bytes:
        if file is None:
            return b""
        path = self._folder / file
        self.files.append(path)
        try:
            with path.open("rb") as stream:
                return stream.read(_MAX_BYTES)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not a path"
            self._add_finding(key, f"cannot be read: {reason}")
            return b""

    def _check_pair(self, key: str, read: ServerTls) -> None:
        try:
            with pem_files(read.certificate, read.key) as (certificate, its_key):
                check_key_pair(certificate, its_key)
        except ValueError as error:
            self._add_finding(key, str(error))

    def _check_authorities(self, key: str, read: ServerTls) -> None:
        try:
            with pem_files(read.client_ca) as [authorities]:
                check_ca_file(authorities)
        except ValueError as error:
            self._add_finding(key, str(error))

    def _add_finding(self, key: str, message: str) -> None:
        self._findings.append(Finding((_SECTION, key), message))


def _contradictions(section: ServerTls) -> Iterator[Finding]:
    here = (_SECTION,)
    for name, text, file in (
        ("cert", section.certificate, section.cert_file),
        ("key", section.key, section.key_file),
        ("client_ca", section.client_ca, section.client_ca_file),
    ):
        if not text and file is None and name != "client_ca":
            yield Finding(here, f"expected {name}_file or {name}, got neither")
        if text and file is not None:
            yield Finding((*here, name), f"expected only one of {name} and {name}_file, got both")
    required = section.client_certificate
    authorities = section.client_ca or section.client_ca_file is not None
    at = (*here, "client_auth_type")
    if authorities and required is ClientCertificate.NOT_ASKED:
        yield Finding(
            at,
            f"expected RequireAndVerifyClientCert with client_ca_file, got"
            f" {section.client_auth_type}, which does not verify certificates",
        )
    if not authorities and required is not ClientCertificate.NOT_ASKED:
        yield Finding(
            at,
            f"{section.client_auth_type} needs client_ca_file; without it every certificate of a"
            " public authority would be accepted",
        )
    if section.client_allowed_sans is not None:
        if required is not ClientCertificate.REQUIRED:
            yield Finding(
                (*here, "client_allowed_sans"),
                "expected client_auth_type: RequireAndVerifyClientCert with client_allowed_sans",
            )
        if not section.client_allowed_sans:
            yield Finding((*here, "client_allowed_sans"), "expected at least one entry, got none")
    yield from _unsupported_by_openssl(section)


def _unsupported_by_openssl(section: ServerTls) -> Iterator[Finding]:
    here = (_SECTION,)
    if OLDEST[section.min_version] > section.newest:
        yield Finding(
            (*here, "max_version"),
            f"expected {section.min_version} (the min_version) or newer, got {section.max_version}",
        )
    if section.cipher_suites and not section.ciphers and section.newest < NEWEST["TLS13"]:
        yield Finding(
            (*here, "cipher_suites"), "expected a suite of TLS 1.2, because max_version is TLS12"
        )
    if len(section.curve_preferences) > 1:
        yield Finding(
            (*here, "curve_preferences"),
            "expected one curve: this server supports one, or all of OpenSSL's without this key;"
            " OpenSSL prefers X25519",
        )
