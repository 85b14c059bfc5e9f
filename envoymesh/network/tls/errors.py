"""Texts and stats of failed TLS handshakes: OpenSSL's errors in the words of Envoy, which has BoringSSL's.

This module must not know connections.
"""

from __future__ import annotations

import ssl

_LIB_SSL = 16 << 24
_ALERTS = 1000
"""BoringSSL's reason of a received alert is 1000 and the alert's number (RFC 8446 section 6)."""

_REASONS = {
    "BAD_DECRYPT": 101,
    "CERTIFICATE_VERIFY_FAILED": 125,
    "DECRYPTION_FAILED_OR_BAD_RECORD_MAC": 139,
    "HTTP_REQUEST": 155,
    "HTTPS_PROXY_REQUEST": 156,
    "NO_SHARED_CIPHER": 184,
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": 192,
    "UNEXPECTED_MESSAGE": 225,
    "UNSUPPORTED_PROTOCOL": 240,
    "WRONG_VERSION_NUMBER": 247,
    "SSLV3_ALERT_UNEXPECTED_MESSAGE": _ALERTS + 10,
    "SSLV3_ALERT_BAD_RECORD_MAC": _ALERTS + 20,
    "SSLV3_ALERT_HANDSHAKE_FAILURE": _ALERTS + 40,
    "SSLV3_ALERT_BAD_CERTIFICATE": _ALERTS + 42,
    "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE": _ALERTS + 43,
    "SSLV3_ALERT_CERTIFICATE_REVOKED": _ALERTS + 44,
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": _ALERTS + 45,
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": _ALERTS + 46,
    "SSLV3_ALERT_ILLEGAL_PARAMETER": _ALERTS + 47,
    "TLSV1_ALERT_UNKNOWN_CA": _ALERTS + 48,
    "TLSV1_ALERT_ACCESS_DENIED": _ALERTS + 49,
    "TLSV1_ALERT_DECODE_ERROR": _ALERTS + 50,
    "TLSV1_ALERT_DECRYPT_ERROR": _ALERTS + 51,
    "TLSV1_ALERT_PROTOCOL_VERSION": _ALERTS + 70,
    "TLSV1_ALERT_INTERNAL_ERROR": _ALERTS + 80,
    "TLSV1_UNRECOGNIZED_NAME": _ALERTS + 112,
    "TLSV1_ALERT_CERTIFICATE_REQUIRED": _ALERTS + 116,
    "TLSV1_ALERT_NO_APPLICATION_PROTOCOL": _ALERTS + 120,
}
_BORINGSSL_NAMES = {
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "TLSV1_ALERT_CERTIFICATE_REQUIRED",
    "RECORD_LAYER_FAILURE": "WRONG_VERSION_NUMBER",
}


class PeerRejectedError(Exception):
    """The peer's certificate failed a check that is ours, not OpenSSL's.

    Args:
        stat: the counter of `SslCounters`, or empty.
        why: the end of the failure text, or empty.
    """

    def __init__(self, stat: str, why: str) -> None:
        super().__init__(stat, why)
        self.stat = stat
        self.why = why


def failure_reason(error: ssl.SSLError | PeerRejectedError) -> str:
    """Envoy's transport failure reason, such as
    ``TLS_error:|268435703:SSL routines:OPENSSL_internal:WRONG_VERSION_NUMBER:TLS_error_end``.
    The number is BoringSSL's, or 0 for a reason that only OpenSSL has."""
    if isinstance(error, PeerRejectedError):
        return _text("CERTIFICATE_VERIFY_FAILED", f":verify cert failed: {error.why}" if error.why else "")
    if isinstance(error, ssl.SSLCertVerificationError):
        why = error.verify_message.replace("self-signed", "self signed")
        return _text(
            "CERTIFICATE_VERIFY_FAILED", f":verify cert failed: X509_verify_cert: certificate verification error: {why}"
        )
    reason = error.reason or "UNKNOWN"
    return _text(_BORINGSSL_NAMES.get(reason, reason), "")


def _text(reason: str, more: str) -> str:
    number = _REASONS.get(reason)
    code = _LIB_SSL + number if number is not None else 0
    return f"TLS_error:|{code}:SSL routines:OPENSSL_internal:{reason}{more}:TLS_error_end"


def failure_stat(error: ssl.SSLError | PeerRejectedError) -> str:
    """Which of `SslCounters` counts the failure; Envoy counts a failed verification apart from connection_error."""
    if isinstance(error, PeerRejectedError):
        return error.stat
    if isinstance(error, ssl.SSLCertVerificationError):
        return "fail_verify_error"
    if error.reason == "PEER_DID_NOT_RETURN_A_CERTIFICATE":
        return "fail_verify_no_cert"
    return "connection_error"
