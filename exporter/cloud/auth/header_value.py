"""Validate credentials from files and responses before they are sent in a header."""

import re

from exporter.cloud.errors import LoginFailedError

MAX_LENGTH = 64 * 1024
"""Maximum length, equal to the transport's. Documented IAM tokens have up to 9 kB."""

_VISIBLE_ASCII = re.compile(r"[\x21-\x7e]+")


def header_value(text: object, what: str) -> str:
    """Return ``text`` if it can be sent as a credential: visible ASCII, at most 64 KiB.

    Raises `LoginFailedError`, which names ``what`` and contains nothing of ``text``.
    """
    if not isinstance(text, str) or not text:
        raise LoginFailedError(f"{what} is missing or empty")
    if len(text) > MAX_LENGTH:
        raise LoginFailedError(f"{what} is longer than {MAX_LENGTH} bytes, the maximum")
    if not _VISIBLE_ASCII.fullmatch(text):
        raise LoginFailedError(
            f"{what} contains spaces, line breaks or non-ASCII characters: remove them"
        )
    return text
