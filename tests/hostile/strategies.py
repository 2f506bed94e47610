"""Hypothesis strategies for what a hostile server may send: responses and their parts.

`responses` generates raw bytes: a whole HTTP response or the beginning of one. `CANARY` is the
secret wherever a response may hold one: in console addresses, cookies and tokens.
"""

import gzip
import json
import zlib
from typing import Any

from hypothesis import strategies as st

CANARY = "CANARYSECRET"
CONSOLE = f"https://c.huaweicloud.com/vnc/h/vnc_auto.html?token={CANARY}"

_numbers = st.one_of(
    st.integers(-3, 3),
    st.sampled_from([2**31, 2**63, 2**64, 10**400, -(10**400), 10**4299]),
    st.floats(),
)
_texts = st.one_of(
    st.text(max_size=20),
    st.sampled_from(
        [
            *("", "\0", "\ud800", "\udcff\ud83d", "a" * 10_000, CANARY, CONSOLE, "../..", "%ff%00"),
            *("iMetal.0101", "APIGW.0307", "9" * 5000, "2027-01-15T08:00:20Z", "\r\nX: 1", "<b>"),
            *(
                "limit:0,time:0 second",
                "limit:999999999,time:999999999 day",
                "https://[",
                "?marker=",
            ),
        ]
    ),
)
_names = st.sampled_from(
    [
        *("url", "error", "error_code", "error_msg", "code", "message", "request_id", "servers"),
        *("page_info", "next_marker", "id", "name", "tags", "key", "value", "location", "token"),
        *("expires_at", "credential", "access", "secret", "securitytoken", "", "\0", "__proto__"),
    ]
)
values = st.recursive(
    st.none() | st.booleans() | _numbers | _texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_names, inner, max_size=5),
    max_leaves=15,
)

urls = st.one_of(
    st.just(CONSOLE),
    st.builds(
        "{}://{}{}{}{}".format,
        st.sampled_from(["https", "http", "HTTPS", "ftp", "javascript", "", "https:"]),
        st.sampled_from(
            [
                *(
                    "c.huaweicloud.com",
                    "127.0.0.1",
                    "[::1]",
                    "[::ffff:127.0.0.1]",
                    "127.1",
                    "0x7f.1",
                ),
                *(
                    "a@b",
                    f"u:{CANARY}@127.0.0.1",
                    "xn--a.example",
                    "bücher.example",
                    "a..b",
                    "",
                    "[",
                ),
                *("127.0.0.1.", "c.huaweicloud.com.evil.example", "a%2eb", "\u2488.example"),
            ]
        ),
        st.sampled_from(["", ":443", ":0", ":65536", ":99999999999999999999", ":x", ":-1"]),
        st.sampled_from(
            ["", "/", "/a/../../b", "/%", "/\\evil", "//evil", "/\t", "/ü", "/" * 9000]
        ),
        st.sampled_from(
            ["", f"?token={CANARY}", "?path=//evil&token=a", "?token=%ff", "#x", "?" * 99]
        ),
    ),
    st.text(max_size=60),
)


def _documents(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[bytes]:
    """Return JSON documents, valid or not."""
    valid = st.builds(
        lambda value, ascii_only: json.dumps(value, ensure_ascii=ascii_only).encode(
            errors="surrogatepass"
        ),
        inner,
        st.booleans(),
    )
    return st.one_of(
        valid,
        valid,
        # A duplicate name; a byte order mark; another encoding; truncated; extra data.
        valid.map(lambda text: text[:-1] + b',"url":7,"url":"' + CONSOLE.encode() + b'"}'),
        valid.map(lambda text: b"\xef\xbb\xbf" + text),
        valid.map(lambda text: text.decode(errors="replace").encode("utf-16")),
        valid.map(lambda text: text[: len(text) // 2]),
        valid.map(lambda text: text + b"\0" + text),
        st.sampled_from(
            [
                *(b"", b"[" * 100_000, b'{"a":' * 50_000, b"[" + b"[]," * 100_000 + b"0]"),
                *(b'{"url":' + b"9" * 5000 + b"}", b"NaN", b'"\\ud800"', b"{" + b'"a":1,' * 60_000),
                *(b"\xff" * 99, b"1e999999", b'{"servers":[' + b'{"id":"x"},' * 2000 + b"0]}"),
            ]
        ),
        st.binary(max_size=60),
    )


bodies = _documents(
    st.one_of(
        values,
        st.builds(lambda url: {"url": url}, urls),
        st.builds(
            lambda code, text: {"error_code": code, "error_msg": text, "request_id": text},
            _texts,
            _texts,
        ),
        st.builds(
            lambda record, marker: {"servers": [record], "page_info": {"next_marker": marker}},
            st.dictionaries(_names, values, max_size=6),
            _texts,
        ),
        st.builds(lambda ends: {"token": {"expires_at": ends}}, _texts),
        st.builds(
            lambda access, ends: {
                "credential": {
                    "access": access,
                    "secret": CANARY,
                    "securitytoken": CANARY,
                    "expires_at": ends,
                }
            },
            _texts,
            _texts,
        ),
    )
)

dates = st.sampled_from(
    [
        *(
            "Fri, 15 Jan 2027 08:00:20 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Mon, 1 Jan 0001 00:00:00",
        ),
        *(
            "Sun Nov  6 08:49:37 1994",
            "Fri, 31 Dec 9999 23:59:59 -2359",
            "Thu, 01 Jan 1970 00:00:00 GMT",
        ),
        *(
            "Fri, 30 Feb 2027 25:61:61 +9999",
            "0",
            "-1",
            "1.5",
            "9" * 400,
            "inf",
            "nan",
            "1e9",
            "soon",
        ),
        *("", " ", "\t5", "5, 5", "٣", "0x10", "2027-01-15T08:00:20Z", "20 Jan " + "1" * 5000),
    ]
)
_cookies = st.one_of(
    st.builds(
        "{}={}{}".format,
        st.sampled_from(["a", "token", CANARY, "", "a b", "ü", "__Host-a", "$Version", "path"]),
        st.sampled_from([CANARY, "", '"q\\012"', "ü", "\x01", "x" * 5000, "a,b", '"', "=;="]),
        st.sampled_from(
            [
                *("", "; Path=/", "; Max-Age", "; Max-Age=x", "; Version", "; Expires", "; Port"),
                *(
                    "; Domain=.",
                    "; Domain=com",
                    "; Expires=Wed, 99 Jun 9999 99:99:99 GMT",
                    ";" * 3000,
                ),
                *(
                    f"; {CANARY}={CANARY}",
                    "; Max-Age=" + "9" * 40,
                    "; Secure; HttpOnly; SameSite=x",
                ),
            ]
        ),
    ),
    st.text(max_size=30),
)
_header_names = st.sampled_from(
    [
        *("X-Request-Id", "X-Apig-RateLimit-Api", "X-Apig-RateLimit-User", "X", "Server", "Link"),
        *("Connection", "Upgrade", "Trailer", "Transfer-Encoding", "Content-Length", "Vary", ""),
        *("Content-Type", "Content-Encoding", "Keep-Alive", "Proxy-Authenticate", "a b", "\0"),
    ]
)
_header_values = st.one_of(
    st.sampled_from(
        [
            *(
                "",
                "remain:9,limit:10,time:10 second",
                "close",
                "keep-alive",
                "chunked",
                "gzip",
                "br",
            ),
            *(
                "gzip, gzip",
                "identity",
                "UTF-8",
                "gzip," * 9,
                "deflate",
                "-1",
                "0",
                "5",
                "5, 5",
                "9" * 30,
                "x" * 70_000,
            ),
            *(
                "text/html",
                "application/json",
                "upgrade",
                "h2c",
                "a\0b",
                "\x7f",
                "ü",
                "a\r b",
                CANARY,
            ),
        ]
    ),
    st.text(max_size=30),
)
headers = st.lists(
    st.one_of(
        st.tuples(_header_names, _header_values),
        st.tuples(st.sampled_from(["Retry-After", "Date", "Expires"]), dates),
        st.tuples(st.just("Set-Cookie"), _cookies),
        st.tuples(
            st.just("X-Subject-Token"), st.sampled_from([CANARY, "", "a b", "ü", "x" * 9000])
        ),
        st.tuples(st.just("Location"), urls),
    ),
    max_size=6,
)
statuses = st.one_of(
    st.sampled_from([200, 200, 200, 201, 204, 206, 301, 302, 304, 307, 400, 401, 403, 404, 429]),
    st.sampled_from(
        [0, 99, 100, 101, 103, 199, 418, 500, 502, 503, 599, 600, 999, 1000, -1, "2oo"]
    ),
)
_BOMB = gzip.compress(bytes(64 << 20), 1)
_encodings = st.sampled_from(
    [
        *(lambda body: (b"", body), lambda body: (b"", body)),
        lambda body: (b"Content-Encoding: gzip\r\n", gzip.compress(body, 1)),
        lambda body: (b"Content-Encoding: gzip\r\n", gzip.compress(body, 1) + b"more"),
        lambda body: (b"Content-Encoding: gzip\r\n", gzip.compress(body, 1)[:-9]),
        lambda _body: (b"Content-Encoding: gzip\r\n", _BOMB),
        lambda body: (b"Content-Encoding: deflate\r\n", zlib.compress(body)),
        lambda body: (b"Content-Encoding: deflate\r\n", zlib.compress(body)[2:-4]),
        lambda body: (b"Content-Encoding: gzip\r\n", body),
        lambda body: (b"Content-Encoding: UTF-8\r\n", body),
        lambda body: (b"Content-Encoding: gzip\r\n", gzip.compress(body, 1) * 2 + bytes(99)),
        lambda body: (b"Content-Encoding: gzip\r\n", gzip.compress(body, 1)[:-8] + b"\xff" * 8),
        lambda body: (b"Content-Encoding: gzip, deflate\r\n", zlib.compress(gzip.compress(body))),
        lambda _body: (b"Content-Encoding: gzip, gzip\r\n", gzip.compress(_BOMB)),
    ]
)


def _chunked(body: bytes) -> bytes:
    half = len(body) // 2
    return b"".join(
        b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:half], body[half:]) if part
    )


_framings = st.sampled_from(
    [
        *[lambda body: b"Content-Length: %d\r\n\r\n%s" % (len(body), body)] * 3,
        lambda body: b"Content-Length: %d\r\n\r\n%s" % (len(body) + 7, body),
        lambda body: b"Content-Length: %d\r\n\r\n%s" % (max(0, len(body) - 7), body),
        lambda body: b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n" + body,
        lambda body: b"Content-Length: " + b"9" * 40 + b"\r\n\r\n" + body,
        lambda body: b"Content-Length: -5\r\n\r\n" + body,
        lambda body: b"\r\n" + body,
        lambda body: b"Transfer-Encoding: chunked\r\n\r\n" + _chunked(body) + b"0\r\n\r\n",
        lambda body: b"Transfer-Encoding: chunked\r\n\r\n" + _chunked(body),
        lambda body: b"Transfer-Encoding: chunked\r\n\r\n" + _chunked(body) + b"0\r\nX: 1\r\n\r\n",
        lambda body: b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n" + body,
        lambda body: b"Transfer-Encoding: chunked\r\n\r\n5;" + b"x" * 9000 + b"\r\n" + body,
        lambda body: b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n" + _chunked(body),
        lambda body: b"Transfer-Encoding: gzip, chunked\r\n\r\n" + _chunked(body) + b"0\r\n\r\n",
    ]
)
_prefixes = st.sampled_from(
    [
        *[b""] * 6,
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" * 200,
        *(
            b"\r\n\r\n",
            b"HTTP/0.9 200\r\n",
            b"\x16\x03\x01\x02\x00",
            b"SSH-2.0-x\r\n",
            b"HTTP/2 200\r\n",
        ),
    ]
)
_suffixes = st.sampled_from([*[b""] * 4, b"HTTP/1.1 200 OK\r\n\r\n", b"\0" * 99, b"x" * 70_000])


def _response(  # noqa: PLR0913, PLR0917 - the parts of a response
    prefix: bytes,
    status: object,
    fields: list[tuple[str, str]],
    body: bytes,
    encode: Any,
    frame: Any,
    suffix: bytes,
) -> bytes:
    encoding, encoded = encode(body)
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields)
    head = f"HTTP/1.1 {status} {CANARY}\r\n{lines}".encode(errors="surrogatepass")
    return b"".join((prefix, head, encoding, frame(encoded), suffix))


def responses(content: st.SearchStrategy[bytes] = bodies) -> st.SearchStrategy[bytes]:
    """Return HTTP responses with these bodies, from valid ones to arbitrary bytes."""
    return st.one_of(
        st.builds(
            _response, _prefixes, statuses, headers, content, _encodings, _framings, _suffixes
        ),
        st.builds(
            _response, _prefixes, st.just(200), headers, content, _encodings, _framings, _suffixes
        ),
        st.binary(max_size=200),
    )
