"""Load a web configuration file and its certificates, or report every error."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from exporter.config.environment import Data, literal
from exporter.config.errors import ConfigError, Finding
from exporter.config.pem import check_ca_file, check_key_pair, pem_files
from exporter.config.validation_errors import explain
from exporter.config.yaml_file import locate, parse_document, read_bytes
from exporter.web.access.tls_names import CIPHERS, CLIENT_AUTH, NEWEST, OLDEST
from exporter.web.access.web_config import ClientCertificate, ServerTls, WebConfig
from exporter.web.access.web_config_schema import WEB_SECTIONS, Headers, TlsServerConfig, WebRoot

_MAX_BYTES = 1024 * 1024
_SECTION = "tls_server_config"
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
    root, findings = _validated(literal(document.root))
    tls: ServerTls | None = None
    files: list[Path] = []
    if root is not None and root.tls_server_config is not None:
        section = root.tls_server_config
        findings = list(_contradictions(section))
        texts = _PemTexts(path.parent, section, findings)
        files = texts.files
        if not findings:
            tls = _server_tls(section, texts)
    details = locate(path, document, [findings])
    if root is None or details:
        raise ConfigError(details)
    return WebConfig(
        tls=tls,
        headers=_headers(root.http_server_config.headers),
        users=root.basic_auth_users,
        files=(path, *files),
    )


def _validated(data: Data) -> tuple[WebRoot | None, list[Finding]]:
    try:
        return WebRoot.model_validate(data), []
    except ValidationError as error:
        return None, explain(error, WEB_SECTIONS)


class _Pair(NamedTuple):
    """The two ways to give a PEM text: inline or as a file."""

    name: str
    text: str | None
    file: Path | None


class _PemTexts:
    """The PEM texts of a section, read and checked; errors are added to ``findings``."""

    def __init__(self, folder: Path, section: TlsServerConfig, findings: list[Finding]) -> None:
        self._folder = folder
        self._findings = findings
        self.files: list[Path] = []
        self.certificate = self._text(_Pair("cert", section.cert, section.cert_file))
        self.key = self._text(_Pair("key", section.key, section.key_file))
        self.client_ca = self._text(_Pair("client_ca", section.client_ca, section.client_ca_file))
        if self.certificate and self.key:
            self._check_pair("key_file" if section.key is None else "key")
        if self.client_ca:
            self._check_authorities("client_ca" if section.client_ca else "client_ca_file")

    def _text(self, pair: _Pair) -> bytes:
        if pair.file is None:
            return (pair.text or "").encode()
        path = self._folder / pair.file
        self.files.append(path)
        try:
            with path.open("rb") as stream:
                return stream.read(_MAX_BYTES)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not a path"
            self._add_finding(f"{pair.name}_file", f"cannot be read: {reason}")
            return b""

    def _check_pair(self, key: str) -> None:
        try:
            with pem_files(self.certificate, self.key) as (certificate, its_key):
                check_key_pair(certificate, its_key)
        except ValueError as error:
            self._add_finding(key, str(error))

    def _check_authorities(self, key: str) -> None:
        try:
            with pem_files(self.client_ca) as [authorities]:
                check_ca_file(authorities)
        except ValueError as error:
            self._add_finding(key, str(error))

    def _add_finding(self, key: str, message: str) -> None:
        self._findings.append(Finding((_SECTION, key), message))


def _contradictions(section: TlsServerConfig) -> Iterator[Finding]:
    here = (_SECTION,)
    for name in ("cert", "key"):
        given = [n for n in (name, f"{name}_file") if getattr(section, n) is not None]
        if not given:
            yield Finding(here, f"expected {name}_file or {name}, got neither")
    for name in ("cert", "key", "client_ca"):
        if getattr(section, name) is not None and getattr(section, f"{name}_file") is not None:
            yield Finding((*here, name), f"expected only one of {name} and {name}_file, got both")
    required = CLIENT_AUTH[section.client_auth_type]
    authorities = section.client_ca is not None or section.client_ca_file is not None
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


def _unsupported_by_openssl(section: TlsServerConfig) -> Iterator[Finding]:
    here = (_SECTION,)
    if OLDEST[section.min_version] > NEWEST[section.max_version]:
        yield Finding(
            (*here, "max_version"),
            f"expected {section.min_version} (the min_version) or newer, got {section.max_version}",
        )
    suites = section.cipher_suites
    if suites and not _ciphers(suites) and NEWEST[section.max_version] < NEWEST["TLS13"]:
        yield Finding(
            (*here, "cipher_suites"), "expected a suite of TLS 1.2, because max_version is TLS12"
        )
    if len(section.curve_preferences) > 1:
        yield Finding(
            (*here, "curve_preferences"),
            "expected one curve: this server supports one, or all of OpenSSL's without this key;"
            " OpenSSL prefers X25519",
        )


def _server_tls(section: TlsServerConfig, texts: _PemTexts) -> ServerTls:
    ciphers = _ciphers(section.cipher_suites)
    only_newest = bool(section.cipher_suites) and not ciphers
    return ServerTls(
        certificate=texts.certificate,
        key=texts.key,
        client_certificate=CLIENT_AUTH[section.client_auth_type],
        client_ca=texts.client_ca,
        client_allowed_sans=frozenset(section.client_allowed_sans or ()),
        oldest=NEWEST["TLS13"] if only_newest else OLDEST[section.min_version],
        newest=NEWEST[section.max_version],
        ciphers=ciphers,
        prefer_server_ciphers=section.prefer_server_cipher_suites,
        curve=section.curve_preferences[0] if section.curve_preferences else None,
    )


def _ciphers(suites: list[str]) -> tuple[str, ...]:
    return tuple(CIPHERS[suite] for suite in suites if suite in CIPHERS)


def _headers(section: Headers) -> tuple[tuple[str, str], ...]:
    given = section.model_dump(by_alias=True)
    return tuple((name, value) for name, value in given.items() if value)
