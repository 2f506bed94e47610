"""Every door, over real sockets, against a server that may answer anything at all.

Whatever comes: one of the outcomes and never a fault of ours, in time, with no secret in result,
log or metrics, metrics that can be read and do not multiply, and nobody else held up.
"""

import struct
from collections.abc import AsyncIterator

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from exporter.cloud.auth.agency import MetadataSource
from exporter.cloud.auth.password import PasswordSource
from exporter.http.errors import RequestError
from exporter.model import Stage
from exporter.outcome import Outcome
from tests.hostile import wire
from tests.hostile.effort import effort
from tests.hostile.project import HostileProject, hostile_project
from tests.real import cloud_answers as cloud
from tests.real.raw_console import close, frame

# What was found is told by what prints it again; some answers are long.
pytestmark = pytest.mark.filterwarnings("ignore:Generating overly large repr")
then = st.sampled_from(["closes"] * 19 + ["stays"])


@pytest.fixture
async def project() -> AsyncIterator[HostileProject]:
    async with hostile_project() as project:
        yield project


@effort(100)
@given(wire.answers(), then)
async def test_any_answer_to_the_question_for_a_console(
    project: HostileProject, raw: bytes, what_then: str
) -> None:
    project.says, project.then = {"remote-console-address": raw}, what_then
    await project.probe()


@effort(60)
@given(st.lists(wire.answers(), min_size=1, max_size=3), then)
async def test_any_list_of_servers(
    project: HostileProject, pages: list[bytes], what_then: str
) -> None:
    left = iter(pages)
    project.says = {"physicalservers?": lambda _: next(left, b"")}
    project.then = what_then
    told = ""
    async with project.watched():
        try:
            listed = await project.client.list_servers(manage_state=None, timeout=0.25)
            assert all(server.id for server in listed)
        except RequestError as error:
            told = str(error)
    project.check(told)


@effort(60)
@given(wire.answers(wire.bodies), then)
async def test_any_page(project: HostileProject, raw: bytes, what_then: str) -> None:
    project.says, project.then = {"/vnc/": raw}, what_then
    await project.probe(Stage.PAGE)


@effort(60)
@given(wire.headers, wire.answers(), then)
@example([("Set-Cookie", "a\xff=\xff; Path=/")], b"", "closes")
@example([("Set-Cookie", "a=b;max-age")], b"", "closes")
async def test_any_answer_to_a_websockets_handshake(
    project: HostileProject, fields: list[tuple[str, str]], raw: bytes, what_then: str
) -> None:
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields if name == "Set-Cookie")
    page = f"HTTP/1.1 200 OK\r\n{lines}Content-Length: 3\r\n\r\n<a>".encode(errors="replace")
    project.says = {"websockify": raw, "/vnc/": page}
    project.then = what_then
    await project.probe(Stage.RFB)


frames = st.one_of(
    st.builds(
        frame,
        st.one_of(
            st.sampled_from(
                [b"", b"RFB 003.008\n", b"RFB 003.", b"008\n", b"RFB 003.003\n\0\0\0\0"]
            ),
            st.sampled_from([b"RFB 999.999\n", b"\xff" * 20, wire.CANARY.encode(), b"x" * 70_000]),
            st.binary(max_size=30),
        ),
        st.integers(0, 15),
        final=st.booleans(),
    ),
    st.builds(close, st.none() | st.integers(0, 65535), st.binary(max_size=130)),
    # Masked, reserved bits, lengths that lie.
    st.sampled_from(
        [b"\x82\x84abcdRFB ", b"\xf2\x00", b"\x82\x7f" + b"\xff" * 8, b"\x82\x7e\0\1x"]
    ),
    st.builds(
        lambda size: b"\x82\x7f" + struct.pack("!Q", size) + b"RFB 003.008\n", st.integers(0, 2**63)
    ),
    st.binary(max_size=40),
)


@effort(100)
@given(st.lists(frames, max_size=5).map(b"".join), then)
@example((frame(b"", 9) + frame(b"")) * 20_000, "stays")
@example(frame(b"", 0, final=False) * 20_000, "stays")
async def test_anything_that_a_websocket_says(
    project: HostileProject, spoken: bytes, what_then: str
) -> None:
    project.says, project.speaks, project.then = {}, spoken, what_then
    await project.probe(Stage.RFB)


@effort(60)
@given(wire.answers(), then)
async def test_any_answer_to_a_log_in(project: HostileProject, raw: bytes, what_then: str) -> None:
    project.says, project.then = {"v3/auth/tokens": raw}, what_then
    await obtain(project, project.password_source())


@effort(60)
@given(wire.answers(), wire.answers(), then)
async def test_any_answer_of_the_metadata_service(
    project: HostileProject, raw: bytes, token: bytes, what_then: str
) -> None:
    project.says, project.then = {"securitykey": raw, "api/token": token}, what_then
    await obtain(project, project.metadata_source())


async def obtain(project: HostileProject, source: PasswordSource | MetadataSource) -> None:
    told = ""
    async with project.watched():
        try:
            leased = await source.obtain()
        except RequestError as error:
            told = str(error)
        else:
            assert leased.lifetime > 0
            told = repr(leased)
    project.check(told)


@pytest.mark.parametrize("auth", ["password", "agency"])
async def test_a_token_that_is_a_secret_stays_one(auth: str) -> None:
    keys = {"access": wire.CANARY, "secret": wire.CANARY, "securitytoken": wire.CANARY}
    credential = {"credential": {**keys, "expires_at": "2100-01-01T00:00:00Z"}}
    token = {"token": {"expires_at": "2100-01-01T00:00:00Z"}}
    async with hostile_project(auth) as project:
        project.says = {
            "v3/auth/tokens": cloud.json_answer(201, token, X_Subject_Token=wire.CANARY),
            "securitykey": cloud.json_answer(200, credential),
            "api/token": cloud.answer(200, wire.CANARY),
        }
        result = await project.probe()
        assert result.outcome is Outcome.SUCCESS
        assert wire.CANARY not in repr(result)
