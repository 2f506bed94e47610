"""Short causes and remedies for the error codes of the cloud's API.

Sources: the error codes of CloudDC's API, "Error Codes" in Huawei Cloud's API Request Signing Guide
(codes ``APIGW.…``; dedicated gateways use the same numbers with ``APIG.…``), and the codes of
denials by identity policies (``PAP5.…``).
"""

_ACTION = "clouddc:imetal:createRemoteConsoleLink"
_AUTH = "check the auth settings, and that endpoint is of the same region"
_QUOTA = "lower rate_limit, or ask the cloud for a higher quota"
_SUPPORT = "report the request id to the cloud's support"
_ENDPOINT = "check endpoint"

_TEXTS = {
    "iMetal.0001": "a parameter is invalid: check project_id and the server's id",
    "iMetal.0002": "a parameter is missing: check project_id and the server's id",
    "iMetal.0003": f"CloudDC does not accept the credentials: {_AUTH}",
    "iMetal.0004": f"the user lacks permission: grant {_ACTION}",
    "iMetal.0005": f"too many requests: {_QUOTA}",
    "iMetal.0099": f"internal error of CloudDC: {_SUPPORT}",
    "iMetal.0100": "the project has no such server: check project_id and the server's id",
    "iMetal.0101": "the server is not ready: check its state in the cloud",
    "APIGW.0101": f"no such API at this address: {_ENDPOINT}",
    "APIGW.0103": f"the gateway has no backend for this address: {_ENDPOINT}",
    "APIGW.0104": f"the gateway has no plug-in for this address: {_ENDPOINT}",
    "APIGW.0105": f"the gateway has no backend configuration for this address: {_ENDPOINT}",
    "APIGW.0106": f"orchestration error of the gateway: {_ENDPOINT}",
    "APIGW.0201": "the gateway rejects the request: check project_id and the server's id",
    "APIGW.0301": f"IAM authentication failed: {_AUTH}",
    "APIGW.0302": "the user may not use this API: check block and allow lists in IAM",
    "APIGW.0303": f"app authentication failed: {_AUTH}",
    "APIGW.0304": "the app may not use this API: have it authorized",
    "APIGW.0305": f"authentication failed: {_AUTH}",
    "APIGW.0306": "access to the API is denied: have the user authorized",
    "APIGW.0307": f"the token has expired or is of another region: {_AUTH}",
    "APIGW.0308": f"the quota of requests is used up: {_QUOTA}",
    "APIGW.0310": "the project is unavailable: check project_id and the project's state",
    "APIGW.0311": f"debugging authentication failed: {_AUTH}",
    "APIGW.0601": f"internal error of the gateway: {_SUPPORT}",
    "APIGW.0613": f"the gateway cannot reach IAM: wait, or {_SUPPORT}",
}
_POLICY_CODES = "PAP5."
_DENIED = f"an identity policy denies the request: allow {_ACTION}"
_BACKEND_DOWN = f"the API behind the gateway is down or too slow: wait, or {_SUPPORT}"
_TOO_LARGE = "the request is too large for the gateway: check the length of the token"
_REQUEST_ERROR = "APIGW.0201"


def error_text(code: str, status: int) -> str:
    """Return cause and remedy of an error code and HTTP status; empty for an unknown code."""
    if code.startswith(_POLICY_CODES):
        return _DENIED
    code = code.replace("APIG.", "APIGW.", 1)
    if code == _REQUEST_ERROR and status in {413, 414, 494}:
        return _TOO_LARGE
    if code == _REQUEST_ERROR and status in {502, 504}:
        return _BACKEND_DOWN
    return _TEXTS.get(code, "")
