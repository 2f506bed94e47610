"""The names by which exporter-toolkit, and so Go, knows versions, ciphers and curves of TLS."""

from exporter.web.access.web_config import ClientCertificate

# OpenSSL as distributions build it speaks nothing older than TLS 1.2: older minima mean that.
OLDEST = {"TLS10": 2, "TLS11": 2, "TLS12": 2, "TLS13": 3}
NEWEST = {"TLS12": 2, "TLS13": 3}

CLIENT_AUTH = {
    "NoClientCert": ClientCertificate.NOT_ASKED,
    # Go asks, and then looks at nothing of it.
    "RequestClientCert": ClientCertificate.NOT_ASKED,
    "VerifyClientCertIfGiven": ClientCertificate.VERIFIED_IF_GIVEN,
    "RequireAndVerifyClientCert": ClientCertificate.REQUIRED,
}
# Any certificate at all, even one that the client made up a moment ago.
UNVERIFIED_CLIENT_AUTH = ("RequireAnyClientCert", "RequireClientCert")

# Those that are always there with TLS 1.3, for Go as for us.
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
