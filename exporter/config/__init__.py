"""From a YAML file to a validated configuration.

`exporter.config.load` reads the file and is not imported here: it brings pydantic and YAML, which
commands that need no configuration should not wait for.
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
