"""Validated configuration, read from a YAML file.

`exporter.config.load` reads the file. It is not imported here, because it imports pydantic and
PyYAML, which would slow down commands that need no configuration.
"""

from exporter.config.config import (
    AgencyAuth,
    AkskAuth,
    Auth,
    Config,
    PasswordAuth,
    Project,
    RateLimit,
    ServerEntry,
    Tls,
    TokenAuth,
)
from exporter.config.errors import ConfigError, ConfigErrorDetail
from exporter.config.secret import Secret, SecretUnreadableError

__all__ = [
    "AgencyAuth",
    "AkskAuth",
    "Auth",
    "Config",
    "ConfigError",
    "ConfigErrorDetail",
    "PasswordAuth",
    "Project",
    "RateLimit",
    "Secret",
    "SecretUnreadableError",
    "ServerEntry",
    "Tls",
    "TokenAuth",
]
