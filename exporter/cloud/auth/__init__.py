"""Authenticate requests: token, password, access key pair (AK/SK) or agency."""

from exporter.clock import Clock
from exporter.cloud.auth.agency import AgencyLogin
from exporter.cloud.auth.aksk import AkskLogin
from exporter.cloud.auth.lockout import Lockouts
from exporter.cloud.auth.login import Login, LoginObserver, SendRequest
from exporter.cloud.auth.password import PasswordLogin
from exporter.cloud.auth.static_token import StaticTokenLogin
from exporter.config.config import AgencyAuth, AkskAuth, PasswordAuth, Project, TokenAuth

__all__ = ["Lockouts", "login_for"]


def login_for(  # noqa: PLR0913 - all parts of a login
    project: Project,
    *,
    send: SendRequest,
    fetch: SendRequest,
    observer: LoginObserver,
    clock: Clock,
    lockouts: Lockouts | None = None,
) -> Login:
    """Create the login that a project is configured with.

    ``send`` sends rate-limited requests to IAM. ``fetch`` sends requests to the metadata service,
    which is on this machine and needs no rate limit. ``lockouts`` is shared by all projects, so
    that projects with the same account or key do not lock it together.
    """
    match project.auth:
        case TokenAuth() as auth:
            return StaticTokenLogin(auth, observer=observer, clock=clock)
        case PasswordAuth() as auth:
            lockout = (lockouts or Lockouts(clock)).for_account(
                auth.iam_endpoint, auth.domain, auth.username
            )
            return PasswordLogin(
                auth,
                project.project_id,
                send=send,
                lockout=lockout,
                observer=observer,
                clock=clock,
            )
        case AkskAuth() as auth:
            return AkskLogin(
                auth,
                project.project_id,
                lockout=(lockouts or Lockouts(clock)).for_keys(project.endpoint, auth),
                observer=observer,
                clock=clock,
            )
        case AgencyAuth() as auth:
            return AgencyLogin(
                auth, project.project_id, fetch=fetch, observer=observer, clock=clock
            )
