"""What may go into a header: credentials come from files and answers, and are not to be trusted."""

import re

from exporter.cloud.errors import LoginFailedError

MAX_LENGTH = 64 * 1024
"""IAM tokens of 9 kB are seen in documents; the transport takes headers up to this size."""

_VISIBLE_ASCII = re.compile(r"[\x21-\x7e]+")


def header_value(text: object, what: str) -> str:
    """Return ``text`` when it can be sent as a credential: visible ASCII, at most 64 KiB.

    Raises `LoginFailedError`, which names ``what`` and shows nothing of the text.
    """
    if not isinstance(text, str) or not text:
        raise LoginFailedError(f"{what} is missing")
    if len(text) > MAX_LENGTH:
        raise LoginFailedError(f"{what} is longer than {MAX_LENGTH} bytes")
    if not _VISIBLE_ASCII.fullmatch(text):
        raise LoginFailedError(f"{what} holds spaces or characters that no header can carry")
    return text
