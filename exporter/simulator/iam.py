"""Log-ins: passwords for tokens, and the metadata service's temporary keys."""

import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from exporter.simulator.access_keys import AccessKeys
from exporter.simulator.lockout import Failures
from exporter.simulator.replies import Reply, ok, refusal_of_iam
from exporter.simulator.scenario import Agency, Project, User
from exporter.simulator.tokens import Tokens

_TTL_MAX = 21_600
_SESSIONS_KEPT = 1_000
_WRONG = "The username or password is wrong."
_LOCKED = "The account is locked because of too many failed logins. Try again later."


class LoginRequest:
    """What a log-in asks for, as far as it could be read; empty texts where it could not."""

    def __init__(self, body: bytes) -> None:
        """Read the body of ``POST /v3/auth/tokens``."""
        try:
            document = json.loads(body)
        except (ValueError, RecursionError):
            document = None
        auth = _dig(document, "auth")
        user = _dig(auth, "identity", "password", "user")
        self.methods = _dig(auth, "identity", "methods")
        self.user_name = _text(_dig(user, "name"))
        self.password = _text(_dig(user, "password"))
        self.domain = _text(_dig(user, "domain", "name"))
        self.project_id = _text(_dig(auth, "scope", "project", "id"))
        self.project_name = _text(_dig(auth, "scope", "project", "name"))

    @property
    def readable(self) -> bool:
        """Tell whether everything needed is there."""
        return (
            self.methods == ["password"]
            and all((self.user_name, self.password, self.domain))
            and bool(self.project_id or self.project_name)
        )


class Iam:
    """Gives out tokens for passwords."""

    def __init__(self, projects: Mapping[str, Project], tokens: Tokens, failures: Failures) -> None:
        """Know the users of ``projects``, by name."""
        self._projects = projects
        self._tokens = tokens
        self._failures = failures

    def project_asked_for(self, login: LoginRequest) -> Project | None:
        """Return the project that a log-in names, None when there is none of that id or name."""
        for project in self._projects.values():
            if login.project_id == project.project_id or (
                not login.project_id and login.project_name == project.name
            ):
                return project
        return None

    def create_token(
        self, login: LoginRequest, now: float, unix_time: float, *, changed: bool
    ) -> Reply:
        """Answer a log-in; ``changed`` tells that no password is right any more."""
        if not login.readable:
            return refusal_of_iam(
                400, "The request needs methods, user, password, domain and project scope."
            )
        account = (login.domain, login.user_name)
        if self._failures.locked(account, now):
            return refusal_of_iam(401, _LOCKED)
        project = self.project_asked_for(login)
        user = _user(project, login) if project else None
        right = user is not None and hmac.compare_digest(
            user.password.encode(), login.password.encode("utf-8", "surrogatepass")
        )
        if project is None or not right or changed:
            self._failures.failed(account, now)
            return refusal_of_iam(401, _WRONG)
        self._failures.succeeded(account)
        token = self._tokens.issue(
            project.name, now=now, lifetime=project.token_lifetime, length=project.token_bytes
        )
        document = _token_document(project, login, unix_time)
        return ok(document, 201, {"X-Subject-Token": token})


class Metadata:
    """The metadata service of a machine with an agency."""

    def __init__(self, agency: Agency, access_keys: AccessKeys) -> None:
        """Hand out keys made by ``access_keys``."""
        self._agency = agency
        self._access_keys = access_keys
        self._sessions: dict[str, float] = {}

    def create_session_token(self, ttl: str, now: float) -> Reply:
        """Answer ``PUT /meta-data/latest/api/token``."""
        if not self._agency.session_token:
            return Reply(405)
        if not (ttl.isascii() and ttl.isdigit() and 0 < int(ttl[:9]) <= _TTL_MAX):
            return Reply(400)
        if len(self._sessions) >= _SESSIONS_KEPT:
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
    domain = {"id": _made_up_id(login.domain), "name": login.domain}
    return {
        "token": {
            "expires_at": _iso(unix_time + project.token_lifetime),
            "issued_at": _iso(unix_time),
            "methods": ["password"],
            "user": {
                "domain": domain,
                "id": _made_up_id(f"{login.domain}/{login.user_name}"),
                "name": login.user_name,
                "password_expires_at": "",
            },
            "project": {"domain": domain, "id": project.project_id, "name": project.name},
            "roles": [{"id": "0", "name": "te_agency"}],
            "catalog": [],
        }
    }


def _made_up_id(name: str) -> str:
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _iso(unix_time: float) -> str:
    when = datetime.fromtimestamp(unix_time, UTC)
    return when.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _dig(document: object, *names: str) -> object:
    for name in names:
        document = document.get(name) if isinstance(document, dict) else None
    return document


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
