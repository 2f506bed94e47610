"""Run a real OpenStack Keystone in its own virtual environment on a loopback port.

Its database is created once and cached beside the packages: creation takes three times as long as
a start.
"""

import hashlib
import os
import secrets
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

ENVIRONMENT = Path(
    os.environ.get("KEYSTONE_VENV", Path(__file__).parents[2] / ".venv-keystone")
).absolute()

LOCKED_AFTER = 5
"""Number of wrong passwords in a row that locks an account, as at Huawei Cloud."""

_REQUIREMENTS = Path(__file__).parents[1] / "requirements-keystone.txt"
# Each version of Keystone needs its own database.
_TEMPLATE = ENVIRONMENT / f"template-{hashlib.sha256(_REQUIREMENTS.read_bytes()).hexdigest()[:12]}"
_ADMIN_PASSWORD = "keystone-admin"
_SERVER = Path(__file__).with_name("keystone_server.py")
_TOKEN_SECONDS = 3600


@dataclass(frozen=True, slots=True)
class Account:
    """A user with a project of its own, in the domain ``my-account``."""

    username: str
    user_id: str
    password: str
    project_id: str
    domain: str = "my-account"


class Keystone:
    """A running Keystone at ``url`` (scheme, host and port), with administrator functions."""

    def __init__(self, url: str, process: subprocess.Popen[str]) -> None:
        self.url = url
        self._process = process
        self._client = httpx.Client(base_url=f"{url}/v3", timeout=30, trust_env=False)
        self._client.headers["x-auth-token"] = self._admin_token()
        self._domain_id = self._create("domains", "domain", name="my-account")
        self._role_id = str(self._client.get("/roles?name=member").json()["roles"][0]["id"])

    def close(self) -> None:
        """Close the administrator's connection."""
        self._client.close()

    def create_account(self) -> Account:
        """Create a user and a project for one test."""
        name = f"monitor-{uuid.uuid4().hex[:8]}"
        password = secrets.token_urlsafe(12)
        project_id = self._create("projects", "project", name=name, domain_id=self._domain_id)
        user_id = self._create(
            "users", "user", name=name, domain_id=self._domain_id, password=password
        )
        path = f"/projects/{project_id}/users/{user_id}/roles/{self._role_id}"
        self._client.put(path).raise_for_status()
        return Account(name, user_id, password, project_id)

    def change_password(self, account: Account, password: str) -> None:
        """Change an account's password, which revokes its tokens."""
        path = f"/users/{account.user_id}"
        self._client.patch(path, json={"user": {"password": password}}).raise_for_status()

    def validate(self, token: str) -> int:
        """Return Keystone's status for a token: 200, or 404 for an invalid one."""
        return self._client.get("/auth/tokens", headers={"x-subject-token": token}).status_code

    def revoke(self, token: str) -> None:
        """Revoke a token."""
        headers = {"x-subject-token": token}
        self._client.delete("/auth/tokens", headers=headers).raise_for_status()

    @contextmanager
    def token_lifetime(self, seconds: int) -> Iterator[None]:
        """Limit the lifetime of new tokens to ``seconds`` until the block ends."""
        self._set_token_lifetime(seconds)
        try:
            yield
        finally:
            self._set_token_lifetime(_TOKEN_SECONDS)

    def _set_token_lifetime(self, seconds: int) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{seconds}\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline() == "done\n"

    def _admin_token(self) -> str:
        user = {"name": "admin", "password": _ADMIN_PASSWORD, "domain": {"id": "default"}}
        response = self._client.post(
            "/auth/tokens",
            json={
                "auth": {
                    "identity": {"methods": ["password"], "password": {"user": user}},
                    "scope": {"system": {"all": True}},
                }
            },
        )
        return str(response.raise_for_status().headers["x-subject-token"])

    def _create(self, collection: str, kind: str, **fields: str) -> str:
        response = self._client.post(f"/{collection}", json={kind: fields}).raise_for_status()
        return str(response.json()[kind]["id"])


@pytest.fixture(scope="session")
def keystone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keystone]:
    """Return a Keystone shared by all tests; if not installed, skip, or fail in CI."""
    if not (ENVIRONMENT / "bin" / "keystone-manage").exists():
        if os.environ.get("CI") == "true":
            pytest.fail("OpenStack Keystone is not installed; `make test` installs it")
        pytest.skip("OpenStack Keystone is not installed")
    with running_keystone(tmp_path_factory.mktemp("keystone")) as keystone:
        yield keystone


@contextmanager
def running_keystone(directory: Path) -> Iterator[Keystone]:
    """Run a Keystone with its files in ``directory``."""
    if not _TEMPLATE.exists():
        _make_template(directory / "template")
    shutil.copytree(_TEMPLATE, directory, dirs_exist_ok=True)
    with (
        (directory / "keystone.log").open("w") as log,
        subprocess.Popen(
            [
                ENVIRONMENT / "bin" / "python",
                "-P",
                "-W",
                "ignore",
                _SERVER,
                _write_configuration(directory),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        ) as process,
    ):
        assert process.stdout is not None
        assert process.stdin is not None
        try:
            port = process.stdout.readline().strip()
            if not port:
                raise RuntimeError((directory / "keystone.log").read_text())
            keystone = Keystone(f"http://127.0.0.1:{port}", process)
            try:
                yield keystone
            finally:
                keystone.close()
        finally:
            process.kill()


def _make_template(directory: Path) -> None:
    """Create a database and keys, and cache them for later runs."""
    directory.mkdir()
    configuration = _write_configuration(directory)
    (directory / "keys").mkdir(mode=0o700)
    owner = (f"--keystone-user={os.getuid()}", f"--keystone-group={os.getgid()}")
    for command in (
        ("db_sync",),
        ("fernet_setup", *owner),
        ("bootstrap", f"--bootstrap-password={_ADMIN_PASSWORD}"),
    ):
        subprocess.run(
            [ENVIRONMENT / "bin" / "keystone-manage", f"--config-file={configuration}", *command],
            check=True,
            capture_output=True,
            timeout=120,
        )
    configuration.unlink()
    partial = _TEMPLATE.with_suffix(f".{os.getpid()}")
    shutil.copytree(directory, partial)
    try:
        partial.rename(_TEMPLATE)
    except OSError:  # a concurrent run was faster
        shutil.rmtree(partial)


def _write_configuration(directory: Path) -> Path:
    # Set all key repositories: their defaults are outside of the directory.
    configuration = directory / "keystone.conf"
    configuration.write_text(
        f"""\
[DEFAULT]
use_stderr = true
[database]
connection = sqlite:///{directory}/keystone.db
[token]
expiration = {_TOKEN_SECONDS}
[fernet_tokens]
key_repository = {directory}/keys
[fernet_receipts]
key_repository = {directory}/keys
[credential]
key_repository = {directory}/keys
[identity]
password_hash_rounds = 4
[security_compliance]
lockout_failure_attempts = {LOCKED_AFTER}
lockout_duration = 900
"""
    )
    return configuration
