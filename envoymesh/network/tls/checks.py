"""Checks of a peer's certificate that Envoy makes and OpenSSL doesn't: SAN matchers, hashes and SPKI pins.

Pure functions on certificate facts; this module must not know handshakes.
"""

from __future__ import annotations

from collections.abc import Callable

import re2

from envoymesh.network.settings import SanMatcher, ValidationSettings
from envoymesh.network.tls.certificates import CertificateFacts
from envoymesh.network.tls.errors import PeerRejectedError

_SANS: dict[str, Callable[[CertificateFacts], tuple[str, ...]]] = {
    "DNS": lambda facts: facts.dns_sans,
    "URI": lambda facts: facts.uri_sans,
    "EMAIL": lambda facts: facts.email_sans,
    "IP_ADDRESS": lambda facts: facts.ip_sans,
}


def needs_facts(validation: ValidationSettings | None) -> bool:
    """Whether `check_peer` has anything to do."""
    return validation is not None and bool(
        validation.san_matchers or validation.verify_certificate_hash or validation.verify_certificate_spki
    )


def check_peer(facts: CertificateFacts, validation: ValidationSettings) -> None:
    """Compare with match_typed_subject_alt_names (one must match), and with the hashes and pins (one must match).

    Raises:
        PeerRejectedError: with the stat that counts it.
    """
    matchers = validation.san_matchers
    if matchers and not any(san_matches(matcher, facts) for matcher in matchers):
        raise PeerRejectedError("fail_verify_san", f"SAN matcher, certificate SANs are [{', '.join(facts.all_sans)}]")
    hashes, pins = validation.verify_certificate_hash, validation.verify_certificate_spki
    if (hashes or pins) and facts.sha256 not in hashes and facts.spki not in pins:
        raise PeerRejectedError("fail_verify_cert_hash", "hash mismatch")


def check_names(facts: CertificateFacts, names: tuple[str, ...]) -> None:
    """Ask for one of these names: a DNS name, which may match by a wildcard, or the text of another kind.

    Raises:
        PeerRejectedError: it has none of them.
    """
    others = facts.uri_sans + facts.ip_sans + facts.email_sans
    if not any(name in others or any(dns_name_matches(each, name) for each in facts.dns_sans) for name in names):
        expected, found = ", ".join(names), ", ".join(facts.all_sans)
        raise PeerRejectedError(
            "fail_verify_san", f"verify SAN list, expected SANs: [{expected}], certificate SANs: [{found}]"
        )


def san_matches(matcher: SanMatcher, facts: CertificateFacts) -> bool:
    """Whether one subject alternative name of the matcher's type matches."""
    names = _SANS[matcher.san_type](facts)
    if matcher.san_type == "DNS" and matcher.kind == "exact":
        return any(dns_name_matches(name, matcher.value) for name in names)
    return any(_text_matches(matcher, name) for name in names)


def dns_name_matches(pattern: str, name: str) -> bool:
    """Compare a name with a certificate's, whose first label may be `*` or hold one (RFC 6125 section 6.4.3)."""
    pattern, name = pattern.lower(), name.lower()
    if pattern == name:
        return True
    first, dot, rest = pattern.partition(".")
    label, name_dot, name_rest = name.partition(".")
    if first.count("*") != 1 or not dot or not name_dot or rest != name_rest or "." not in rest:
        return False
    if first.startswith("xn--") or label.startswith("xn--"):
        return first == "*" and not label.startswith("xn--")
    before, _, after = first.partition("*")
    return len(label) >= len(first) - 1 and label.startswith(before) and label.endswith(after)


def _text_matches(matcher: SanMatcher, text: str) -> bool:
    value = matcher.value
    if matcher.ignore_case:
        value, text = value.lower(), text.lower()
    if matcher.kind == "exact":
        return text == value
    if matcher.kind == "prefix":
        return text.startswith(value)
    if matcher.kind == "suffix":
        return text.endswith(value)
    if matcher.kind == "contains":
        return value in text
    return re2.fullmatch(value, text) is not None
