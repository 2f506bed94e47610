"""Names of TLS versions, ciphers and curves as exporter-toolkit and Go use them."""

from enum import Enum


class ClientCertificate(Enum):
    """What is required of client certificates; each member is stricter than the one before."""

    NOT_ASKED = 0
    VERIFIED_IF_GIVEN = 1
    REQUIRED = 2


# OpenSSL as distributions build it supports no version below TLS 1.2, so a lower minimum means 1.2.
OLDEST = {"TLS10": 2, "TLS11": 2, "TLS12": 2, "TLS13": 3}
NEWEST = {"TLS12": 2, "TLS13": 3}

CLIENT_AUTH = {
    "NoClientCert": ClientCertificate.NOT_ASKED,
    # Go requests a certificate and then ignores it.
    "RequestClientCert": ClientCertificate.NOT_ASKED,
    "VerifyClientCertIfGiven": ClientCertificate.VERIFIED_IF_GIVEN,
    "RequireAndVerifyClientCert": ClientCertificate.REQUIRED,
}
# These accept any certificate, even a self-signed one.
UNVERIFIED_CLIENT_AUTH = ("RequireAnyClientCert", "RequireClientCert")

# Always enabled with TLS 1.3, as in Go.
CIPHERS_OF_TLS13 = (
    "TLS_AES_128_GCM_SHA256",
    "TLS_AES_256_GCM_SHA384",
    "TLS_CHACHA20_POLY1305_SHA256",
)
# Go's tls.CipherSuites() and OpenSSL's names for them.
CIPHERS = {
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": "ECDHE-ECDSA-AES128-GCM-SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": "ECDHE-ECDSA-AES256-GCM-SHA384",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-ECDSA-CHACHA20-POLY1305",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA": "ECDHE-ECDSA-AES128-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA": "ECDHE-ECDSA-AES256-SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": "ECDHE-RSA-AES128-GCM-SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": "ECDHE-RSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-RSA-CHACHA20-POLY1305",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA": "ECDHE-RSA-AES128-SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA": "ECDHE-RSA-AES256-SHA",
}

CURVES = {
    "CurveP256": "prime256v1",
    "CurveP384": "secp384r1",
    "CurveP521": "secp521r1",
    "X25519": "X25519",
}
