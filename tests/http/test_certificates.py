"""The first certificate of the verified chain to expire, over real TLS connections."""

import ssl
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import certifi
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from exporter.cloud.observer import Unobserved
from exporter.config.config import Tls
from exporter.http.certificates import TrustStore, earliest_expiry
from exporter.http.transport import WireTransport
from tests.hostile.hypothesis_settings import examples
from tests.http.requests import get
from tests.real import cloud_responses as cloud
from tests.real.broken_responses import answers
from tests.real.broken_servers import BrokenServer
from tests.real.certificate_chains import Issued, issue, leaf, serving, trusting

Expiry = Callable[..., Awaitable[float | None]]


@pytest.fixture
def expiry(tmp_path: Path) -> Expiry:
    """Return a function that connects to a server and returns the reported end, if any."""

    async def connect(
        sent: Sequence[Issued], *, trusted: Sequence[Issued], verify: bool = True
    ) -> float | None:
        seen: list[float] = []

        class Observer(Unobserved):
            def certificate_seen(self, host: str, expires_at: float) -> None:  # noqa: ARG002
                seen.append(expires_at)

        tls = Tls(ca_file=trusting(tmp_path, *trusted), insecure_skip_verify=not verify)
        transport = WireTransport(tls=tls, proxy_url=None, observer=Observer())
        answer = answers(cloud.console_address())
        async with BrokenServer(answer, tls=serving(tmp_path, sent)) as server:
            assert (await transport.handle_async_request(get(server.url))).status_code == 200
            await transport.aclose()
        assert len(seen) <= 1
        return seen[0] if seen else None

    return connect


@pytest.fixture(scope="module")
def root() -> Issued:
    return issue("root", days=4000)


async def test_an_intermediate_that_ends_before_the_leaf_counts(
    expiry: Expiry, root: Issued
) -> None:
    intermediate = issue("intermediate", root, days=1)
    own = leaf(intermediate, days=20)
    assert await expiry([own, intermediate], trusted=[root]) == intermediate.ends_at


async def test_a_leaf_that_ends_before_its_issuers_counts(expiry: Expiry, root: Issued) -> None:
    intermediate = issue("intermediate", root, days=20)
    own = leaf(intermediate, days=1)
    assert await expiry([own, intermediate, root], trusted=[root]) == own.ends_at


async def test_every_certificate_of_a_long_chain_counts(expiry: Expiry, root: Issued) -> None:
    first = issue("first", root, days=3)
    second = issue("second", first, days=30)
    own = leaf(second, days=20)
    assert await expiry([own, second, first], trusted=[root]) == first.ends_at
    # Some servers send them in another order.
    assert await expiry([own, first, second], trusted=[root]) == first.ends_at


async def test_a_trusted_root_that_ends_first_counts(expiry: Expiry) -> None:
    ending = issue("ending root", days=2)
    own = leaf(ending, days=20)
    assert await expiry([own], trusted=[ending]) == ending.ends_at
    assert await expiry([own, ending], trusted=[ending]) == ending.ends_at


async def test_an_expired_cross_signed_copy_of_a_trusted_root_does_not_count(
    expiry: Expiry, root: Issued
) -> None:
    old_root = issue("old root", days=-1)
    crossed = issue("root", old_root, days=-1, key=root.key)
    intermediate = issue("intermediate", root, days=100)
    own = leaf(intermediate, days=20)
    sent = [own, intermediate, crossed]
    assert await expiry(sent, trusted=[root]) == own.ends_at
    assert await expiry([*sent, old_root], trusted=[root, old_root]) == own.ends_at


async def test_a_cross_signed_copy_counts_where_only_its_issuer_is_trusted(
    expiry: Expiry, root: Issued
) -> None:
    old_root = issue("old root", days=900)
    crossed = issue("root", old_root, days=1, key=root.key)
    own = leaf(root, days=20)
    assert await expiry([own, crossed], trusted=[old_root]) == crossed.ends_at


async def test_certificates_outside_the_chain_do_not_count(expiry: Expiry, root: Issued) -> None:
    own = leaf(root, days=20)
    strangers = [issue("stranger", days=-5), issue("other", root, days=1)]
    assert await expiry([own, *strangers], trusted=[root, issue("unused", days=-3)]) == own.ends_at


async def test_a_trusted_intermediate_ends_the_chain(expiry: Expiry, root: Issued) -> None:
    renewed = issue("intermediate", root, days=500)
    expired = issue("intermediate", root, days=-1, key=renewed.key)
    own = leaf(renewed, days=20)
    assert await expiry([own, expired], trusted=[renewed]) == own.ends_at


async def test_of_two_trusted_certificates_of_one_subject_the_later_counts(
    expiry: Expiry,
) -> None:
    old = issue("renewed root", days=1)
    new = issue("renewed root", days=900, key=old.key)
    own = leaf(old, days=20)
    assert await expiry([own], trusted=[old, new]) == own.ends_at


async def test_of_two_sent_certificates_of_one_subject_the_later_counts(
    expiry: Expiry, root: Issued
) -> None:
    new = issue("intermediate", root, days=500)
    old = issue("intermediate", root, days=-1, key=new.key)
    own = leaf(new, days=20)
    assert await expiry([own, old, new], trusted=[root]) == own.ends_at
    assert await expiry([own, new, old], trusted=[root]) == own.ends_at


async def test_a_trusted_self_signed_leaf_counts(expiry: Expiry) -> None:
    own = leaf(days=20)
    assert await expiry([own], trusted=[own]) == own.ends_at
    assert await expiry([own, issue("stranger", days=-1)], trusted=[own]) == own.ends_at


async def test_the_issuers_of_a_trusted_leaf_do_not_count(expiry: Expiry, root: Issued) -> None:
    intermediate = issue("intermediate", root, days=1)
    own = leaf(intermediate, days=20)
    assert await expiry([own, intermediate], trusted=[own]) == own.ends_at


async def test_a_certificate_that_is_not_verified_is_not_reported(
    expiry: Expiry, root: Issued
) -> None:
    assert await expiry([leaf(days=20)], trusted=[root], verify=False) is None
    assert await expiry([leaf(root, days=20), root], trusted=[root], verify=False) is None


def test_ends_are_those_that_openssl_reads() -> None:
    context = ssl.create_default_context(cafile=certifi.where())
    expected = {ssl.cert_time_to_seconds(str(one["notAfter"])) for one in context.get_ca_certs()}
    store = TrustStore.read(certifi.where(), None)
    assert {one.ends_at for one in store.certificates} == expected
    assert len(store.certificates) == len(context.get_ca_certs())


def test_a_folder_of_trusted_certificates_is_read_as_openssl_does(
    tmp_path: Path, root: Issued
) -> None:
    other = issue("other", days=7)
    (tmp_path / "0a1b2c3d.0").write_bytes(root.pem)
    (tmp_path / "0a1b2c3d.1").write_bytes(b"comment\n" + other.pem)
    (tmp_path / "readme.pem").write_bytes(issue("unused").pem)
    (tmp_path / "ffffffff.0").symlink_to("missing")
    store = TrustStore.read(None, str(tmp_path))
    assert sorted(store.ends_at.values()) == [other.ends_at, root.ends_at]


def test_no_trust_store_is_an_empty_one(tmp_path: Path) -> None:
    assert TrustStore.read(None, None) == TrustStore()
    assert TrustStore.read(str(tmp_path / "missing.pem"), str(tmp_path)) == TrustStore()


def test_a_chain_without_certificates_has_no_end() -> None:
    assert earliest_expiry([], TrustStore()) is None
    assert earliest_expiry([[(b"Subject", b"CN = x")], [(b"Cert", b"?")]], TrustStore()) is None


@examples(200)
@given(st.lists(st.binary(max_size=80) | st.integers(0, 900), max_size=3))
@example([b"0"])
@example([b"0\x84\xff\xff\xff\xff"])
def test_any_certificate_is_read_or_left_out(changes: list[bytes | int]) -> None:
    der = ssl.PEM_cert_to_DER_cert(_SAMPLE.pem.decode())
    for change in changes:
        der = change if isinstance(change, bytes) else der[:change] + b"\xff" + der[change + 1 :]
    chain = [[(b"Cert", ssl.DER_cert_to_PEM_cert(der).encode())]]
    end = earliest_expiry(chain, TrustStore())
    assert end is None or isinstance(end, float)


_SAMPLE = leaf(days=20)
