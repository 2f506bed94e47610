"""Every kind of request, over real sockets, to a server that may send any response.

Each probe ends in time with an outcome other than an internal error. No secret appears in results,
log or metrics, the metrics stay valid and few, and the event loop is not blocked.
"""

import struct
from collections.abc import AsyncIterator

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from exporter.cloud.auth.agency import MetadataSource
from exporter.cloud.auth.password import PasswordSource
from exporter.model import Stage
from exporter.outcome import Outcome
from tests.hostile import strategies
from tests.hostile.hypothesis_settings import examples
from tests.hostile.project import HostileProject, hostile_project
from tests.real import cloud_responses as cloud
from tests.real.raw_console import close, frame

# Hypothesis warns when it prints a failing example that is long.
pytestmark = pytest.mark.filterwarnings("ignore:Generating overly large repr")
endings = st.sampled_from(["closes"] * 19 + ["stays"])


@pytest.fixture
async def project() -> AsyncIterator[HostileProject]:
    async with hostile_project() as project:
        yield project


@examples(100)
@given(strategies.responses(), endings)
async def test_any_console_address_response(
    project: HostileProject, raw: bytes, ending: str
) -> None:
    project.responses, project.ending = {"remote-console-address": raw}, ending
    await project.probe()


@examples(60)
@given(st.lists(strategies.responses(), min_size=1, max_size=3), endings)
@example([b"HTTP/1.1 200 OK\r\nSet-Cookie: ;Max-Age\r\nContent-Length: 2\r\n\r\n{}"], "closes")
async def test_any_server_list_response(
    project: HostileProject, pages: list[bytes], ending: str
) -> None:
    remaining = iter(pages)
    project.responses = {"physicalservers?": lambda _: next(remaining, b"")}
    project.ending = ending
    text = ""
    async with project.watched():
        try:
            listed = await project.listed(timeout=0.25)
            assert all(server.id for server in listed)
        except httpx.RequestError as error:
            text = str(error)
    project.check(text)


@examples(60)
@given(strategies.responses(strategies.bodies), endings)
async def test_any_page_response(project: HostileProject, raw: bytes, ending: str) -> None:
    project.responses, project.ending = {"/vnc/": raw}, ending
    await project.probe(Stage.PAGE)


@examples(60)
@given(strategies.headers, strategies.responses(), endings)
@example([("Set-Cookie", "a\xff=\xff; Path=/")], b"", "closes")
@example([("Set-Cookie", "a=b;max-age")], b"", "closes")
async def test_any_websocket_handshake_response(
    project: HostileProject, fields: list[tuple[str, str]], raw: bytes, ending: str
) -> None:
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields if name == "Set-Cookie")
    page = f"HTTP/1.1 200 OK\r\n{lines}Content-Length: 3\r\n\r\n<a>".encode(errors="replace")
    project.responses = {"websockify": raw, "/vnc/": page}
    project.ending = ending
    await project.probe(Stage.RFB)


frames = st.one_of(
    st.builds(
        frame,
        st.one_of(
            st.sampled_from(
                [b"", b"RFB 003.008\n", b"RFB 003.", b"008\n", b"RFB 003.003\n\0\0\0\0"]
            ),
            st.sampled_from(
                [b"\0", b"\1\1", b"\xff" + bytes(255), b"\0\0\0\2", b"\xff" * 4, b"\0\0\0\x30"]
            ),
            st.sampled_from([strategies.CONSOLE.encode(), b"Too many security failures"]),
            st.sampled_from(
                [b"RFB 999.999\n", b"\xff" * 20, strategies.CANARY.encode(), b"x" * 70_000]
            ),
            st.binary(max_size=30),
        ),
        st.integers(0, 15),
        final=st.booleans(),
    ),
    st.builds(close, st.none() | st.integers(0, 65535), st.binary(max_size=130)),
    # A masked frame, reserved bits, wrong lengths.
    st.sampled_from(
        [b"\x82\x84abcdRFB ", b"\xf2\x00", b"\x82\x7f" + b"\xff" * 8, b"\x82\x7e\0\1x"]
    ),
    st.builds(
        lambda size: b"\x82\x7f" + struct.pack("!Q", size) + b"RFB 003.008\n", st.integers(0, 2**63)
    ),
    st.binary(max_size=40),
)


@examples(100)
@given(st.lists(frames, max_size=5).map(b"".join), endings)
@example((frame(b"", 9) + frame(b"")) * 20_000, "stays")
@example(frame(b"", 0, final=False) * 20_000, "stays")
async def test_any_websocket_data(project: HostileProject, data: bytes, ending: str) -> None:
    project.responses, project.websocket_data, project.ending = {}, data, ending
    await project.probe(Stage.SECURITY)


@examples(60)
@given(strategies.responses(), endings)
async def test_any_login_response(project: HostileProject, raw: bytes, ending: str) -> None:
    project.responses, project.ending = {"v3/auth/tokens": raw}, ending
    await obtain(project, project.password_source())


@examples(60)
@given(strategies.responses(), strategies.responses(), endings)
async def test_any_metadata_service_response(
    project: HostileProject, raw: bytes, token: bytes, ending: str
) -> None:
    project.responses, project.ending = {"securitykey": raw, "api/token": token}, ending
    await obtain(project, project.metadata_source())


async def obtain(project: HostileProject, source: PasswordSource | MetadataSource) -> None:
    text = ""
    async with project.watched():
        try:
            credentials = await source.obtain()
        except httpx.RequestError as error:
            text = str(error)
        else:
            assert credentials.lifetime > 0
            text = repr(credentials)
    project.check(text)


@pytest.mark.parametrize("auth", ["password", "agency"])
async def test_credentials_are_never_exposed(auth: str) -> None:
    keys = {
        "access": strategies.CANARY,
        "secret": strategies.CANARY,
        "securitytoken": strategies.CANARY,
    }
    credential = {"credential": {**keys, "expires_at": "2100-01-01T00:00:00Z"}}
    token = {"token": {"expires_at": "2100-01-01T00:00:00Z"}}
    async with hostile_project(auth) as project:
        project.responses = {
            "v3/auth/tokens": cloud.json_response(201, token, X_Subject_Token=strategies.CANARY),
            "securitykey": cloud.json_response(200, credential),
            "api/token": cloud.response(200, strategies.CANARY),
        }
        result = await project.probe()
        assert result.outcome is Outcome.SUCCESS
        assert strategies.CANARY not in repr(result)
