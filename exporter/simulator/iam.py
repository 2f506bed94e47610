"""Issue tokens for passwords, and temporary keys by the metadata service."""

import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from exporter.simulator.access_keys import AccessKeys
from exporter.simulator.lockout import Failures
from exporter.simulator.replies import Reply, iam_error_reply, ok
from exporter.simulator.scenario import Agency, Project, User
from exporter.simulator.tokens import Tokens

_TTL_MAX = 21_600
_SESSIONS_MAX = 1_000
_WRONG = "The username or password is wrong."
_LOCKED = "The account is locked because of too many failed logins. Try again later."


class LoginRequest:
    """The body of ``POST /v3/auth/tokens``; missing or invalid fields are empty strings."""

    def __init__(self, body: bytes) -> None:
        try:
            document = json.loads(body)
        except (ValueError, RecursionError):
            document = None
        auth = _nested(document, "auth")
        user = _nested(auth, "identity", "password", "user")
        self.methods = _nested(auth, "identity", "methods")
        self.user_name = _text(_nested(user, "name"))
        self.password = _text(_nested(user, "password"))
        self.domain = _text(_nested(user, "domain", "name"))
        self.project_id = _text(_nested(auth, "scope", "project", "id"))
        self.project_name = _text(_nested(auth, "scope", "project", "name"))

    @property
    def complete(self) -> bool:
        """Return whether all required fields are present."""
        return (
            self.methods == ["password"]
            and all((self.user_name, self.password, self.domain))
            and bool(self.project_id or self.project_name)
        )


class Iam:
    """Issue tokens for passwords; ``projects`` maps names to projects and their users."""

    def __init__(self, projects: Mapping[str, Project], tokens: Tokens, failures: Failures) -> None:
        self._projects = projects
        self._tokens = tokens
        self._failures = failures

    def requested_project(self, login: LoginRequest) -> Project | None:
        """Return the project that a login names by ID or name, or None."""
        for project in self._projects.values():
            if login.project_id == project.project_id or (
                not login.project_id and login.project_name == project.name
            ):
                return project
        return None

    def create_token(
        self, login: LoginRequest, now: float, unix_time: float, *, changed: bool
    ) -> Reply:
        """Answer a login; ``changed`` simulates a changed password, so that every login fails."""
        if not login.complete:
            return iam_error_reply(
                400, "The request needs methods, user, password, domain and project scope."
            )
        account = (login.domain, login.user_name)
        if self._failures.locked(account, now):
            return iam_error_reply(401, _LOCKED)
        project = self.requested_project(login)
        user = _user(project, login) if project else None
        right = user is not None and hmac.compare_digest(
            user.password.encode(), login.password.encode("utf-8", "surrogatepass")
        )
        if project is None or not right or changed:
            self._failures.failed(account, now)
            return iam_error_reply(401, _WRONG)
        self._failures.succeeded(account)
        token = self._tokens.issue(
            project.name, now=now, lifetime=project.token_lifetime, length=project.token_bytes
        )
        document = _token_document(project, login, unix_time)
        return ok(document, 201, {"X-Subject-Token": token})


class Metadata:
    """The metadata service of a machine with an agency."""

    def __init__(self, agency: Agency, access_keys: AccessKeys) -> None:
        self._agency = agency
        self._access_keys = access_keys
        self._sessions: dict[str, float] = {}

    def create_session_token(self, ttl: str, now: float) -> Reply:
        """Answer ``PUT /meta-data/latest/api/token``."""
        if not self._agency.session_token:
            return Reply(405)
        if not (ttl.isascii() and ttl.isdigit() and 0 < int(ttl[:9]) <= _TTL_MAX):
            return Reply(400)
        if len(self._sessions) >= _SESSIONS_MAX:
            del self._sessions[next(iter(self._sessions))]
        token = secrets.token_urlsafe(40)
        self._sessions[token] = now + int(ttl)
        return Reply(200, token.encode(), "text/plain;charset=UTF-8")

    def security_key(self, session_token: str, now: float, unix_time: float) -> Reply:
        """Answer ``GET /openstack/latest/securitykey``."""
        if self._agency.session_token and now >= self._sessions.get(session_token, now):
            return Reply(401)
        lifetime = self._agency.lifetime
        pair = self._access_keys.make_temporary(now, lifetime).pair
        credential = {
            "access": pair.access_key,
            "secret": pair.secret_key,
            "securitytoken": pair.security_token,
            "expires_at": _iso(unix_time + lifetime),
        }
        return ok({"credential": credential})


def _user(project: Project, login: LoginRequest) -> User | None:
    for user in project.users:
        if (user.name, user.domain) == (login.user_name, login.domain):
            return user
    return None


def _token_document(project: Project, login: LoginRequest, unix_time: float) -> dict[str, Any]:
    domain = {"id": _derived_id(login.domain), "name": login.domain}
    return {
        "token": {
            "expires_at": _iso(unix_time + project.token_lifetime),
            "issued_at": _iso(unix_time),
            "methods": ["password"],
            "user": {
                "domain": domain,
                "id": _derived_id(f"{login.domain}/{login.user_name}"),
                "name": login.user_name,
                "password_expires_at": "",
            },
            "project": {"domain": domain, "id": project.project_id, "name": project.name},
            "roles": [{"id": "0", "name": "te_agency"}],
            "catalog": [],
        }
    }


def _derived_id(name: str) -> str:
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _iso(unix_time: float) -> str:
    when = datetime.fromtimestamp(unix_time, UTC)
    return when.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _nested(document: object, *names: str) -> object:
    for name in names:
        document = document.get(name) if isinstance(document, dict) else None
    return document


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
