"""Stage ``api``: ask the cloud for the console address and judge what it answers."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from exporter.cloud.answer import Answer, ApiError
from exporter.outcome import Outcome

# iMetal.0101: the physical server is not ready.
_NOT_READY = "iMetal.0101"
_BY_STATUS = {
    400: Outcome.BAD_REQUEST,
    401: Outcome.UNAUTHORIZED,
    403: Outcome.FORBIDDEN,
    404: Outcome.NOT_FOUND,
    429: Outcome.THROTTLED,
}
_OK = 200
_SERVER_ERRORS = range(500, 600)
_URL_MAX = 8192


@dataclass(frozen=True, slots=True)
class Judgement:
    """What an answer means; ``detail`` is for people and free of secrets."""

    outcome: Outcome
    detail: str = ""


def judge(answer: Answer, error: ApiError) -> Judgement:
    """Judge an answer to the request for a console address."""
    if answer.status == _OK:
        return _judge_address(answer)
    said = f"{answer.status} {error.code}".rstrip()
    if answer.status in _SERVER_ERRORS:
        return Judgement(Outcome.SERVER_ERROR, f"the API answered {said}")
    outcome = _BY_STATUS.get(answer.status)
    if outcome is None:
        return Judgement(Outcome.BAD_RESPONSE, f"the API answered {said}, which is undocumented")
    if outcome is Outcome.BAD_REQUEST and error.code == _NOT_READY:
        outcome = Outcome.NOT_READY
    return Judgement(outcome, f"the API answered {said}")


def _judge_address(answer: Answer) -> Judgement:
    """Check that a 200 holds an address. The address is a key to a machine: none of it is kept."""
    body = answer.json()
    url = body.get("url") if isinstance(body, dict) else None
    if not isinstance(url, str):
        return Judgement(Outcome.BAD_RESPONSE, "the API answered 200 without a console address")
    if not _is_web_url(url):
        return Judgement(Outcome.BAD_RESPONSE, "the console address is no http(s) URL")
    return Judgement(Outcome.SUCCESS)


def _is_web_url(url: str) -> bool:
    if len(url) > _URL_MAX or any(char.isspace() or not char.isprintable() for char in url):
        return False
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return False
    # A user name in an address is a trick to show one host and mean another.
    return parts.scheme in {"http", "https"} and bool(parts.hostname) and "@" not in parts.netloc
