"""Render the running configuration as YAML, with defaults filled in and secrets hidden.

PyYAML's emitter is not used, because it takes seconds for ten thousand servers. The format is
simple: mappings, lists and scalars, in the order of the documentation.
"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from exporter.config.config import (
    AkskAuth,
    Auth,
    Discovery,
    PasswordAuth,
    Project,
    ServerEntry,
    Tls,
    TokenAuth,
)
from exporter.config.duration import format_duration
from exporter.config.schema import Global
from exporter.config.secret import HIDDEN, Secret

Value = str | float | bool | dict[str, "Value"] | list["Value"] | None

# Text that needs no quotes in any YAML version: words, paths, durations.
_BARE = re.compile(r"[A-Za-z/][A-Za-z0-9_/.-]*|([0-9]+(ms|[wdhms]))+")
_WORDS = frozenset({"true", "false", "yes", "no", "on", "off", "y", "n", "null"})


def as_yaml(defaults: Global, projects: tuple[Project, ...]) -> str:
    """Return a configuration as YAML without secrets; a secret file is shown by its path."""
    document: dict[str, Value] = {
        "global": {
            "interval": format_duration(defaults.interval),
            "timeout": format_duration(defaults.timeout),
            "depth": str(defaults.depth),
            "history": defaults.history,
        },
        "projects": [_project(project) for project in projects],
    }
    return "\n".join(_lines(document)) + "\n"


def _project(project: Project) -> dict[str, Value]:
    return {
        "name": project.name,
        "region": project.region,
        "project_id": project.project_id,
        "endpoint": project.endpoint,
        "auth": _auth(project.auth),
        "rate_limit": {
            "requests_per_second": project.rate_limit.requests_per_second,
            "burst": project.rate_limit.burst,
        },
        "tls": _tls(project.tls),
        **_secret("proxy_url", project.proxy_url),
        "console": {
            "allowed_hosts": [pattern.text for pattern in project.console.allowed_hosts],
            "websocket_path": project.console.websocket_path,
            "tls": _tls(project.console.tls),
        },
        "interval": format_duration(project.interval),
        "timeout": format_duration(project.timeout),
        "depth": str(project.depth),
        "servers": [_server(server) for server in project.servers],
        "server_files": list(project.server_files) or None,
        "discovery": _discovery(project.discovery),
    }


def _discovery(discovery: Discovery | None) -> Value:
    if discovery is None:
        return None
    return {
        "refresh_interval": format_duration(discovery.refresh_interval),
        "manage_state": list(discovery.manage_state),
        "name_regex": discovery.name_regex.pattern,
        "labels": dict(discovery.labels),
    }


def _tls(tls: Tls) -> dict[str, Value]:
    return {
        "ca_file": _path(tls.ca_file),
        "cert_file": _path(tls.cert_file),
        "key_file": _path(tls.key_file),
        "server_name": tls.server_name,
        "insecure_skip_verify": tls.insecure_skip_verify,
    }


def _auth(auth: Auth) -> dict[str, Value]:
    if isinstance(auth, TokenAuth):
        return {"type": "token", **_secret("token", auth.token)}
    if isinstance(auth, PasswordAuth):
        return {
            "type": "password",
            "iam_endpoint": auth.iam_endpoint,
            "username": auth.username,
            **_secret("password", auth.password),
            "domain": auth.domain,
        }
    if isinstance(auth, AkskAuth):
        return {
            "type": "aksk",
            **_secret("access_key", auth.access_key),
            **_secret("secret_key", auth.secret_key),
            **_secret("security_token", auth.security_token),
        }
    return {"type": "agency", "metadata_endpoint": auth.metadata_endpoint}


def _server(server: ServerEntry) -> dict[str, Value]:
    return {
        "id": server.id,
        "name": server.name,
        "labels": dict(server.labels),
        "interval": format_duration(server.interval),
        "timeout": format_duration(server.timeout),
        "depth": str(server.depth),
    }


def _secret(name: str, secret: Secret | None) -> dict[str, Value]:
    if secret is None:
        return {}
    if secret.file is not None:
        return {f"{name}_file": str(secret.file)}
    return {name: HIDDEN}


def _path(path: Path | None) -> str | None:
    return None if path is None else str(path)


def _lines(mapping: Mapping[str, Value], indent: str = "") -> Iterator[str]:
    for key, value in mapping.items():
        if value is None or value == {}:
            continue
        name = _scalar(key)
        if isinstance(value, dict):
            yield f"{indent}{name}:"
            yield from _lines(value, indent + "  ")
        elif isinstance(value, list):
            yield f"{indent}{name}:" if value else f"{indent}{name}: []"
            yield from _items(value, indent + "  ")
        else:
            yield f"{indent}{name}: {_scalar(value)}"


def _items(items: list[Value], indent: str) -> Iterator[str]:
    for item in items:
        if isinstance(item, str):
            yield f"{indent}- {_scalar(item)}"
            continue
        if not isinstance(item, dict):
            raise TypeError("expected a list of mappings or texts")
        lines = _lines(item, indent + "  ")
        yield f"{indent}- {next(lines).lstrip()}"
        yield from lines


def _scalar(value: str | float | bool) -> str:  # noqa: FBT001 - a value to render
    if not isinstance(value, str):
        return json.dumps(value)
    if _BARE.fullmatch(value) and value.lower() not in _WORDS:
        return value
    # For printable text, JSON quoting is valid YAML.
    return json.dumps(value, ensure_ascii=False).replace("${", "$${")
