"""What is said of a certificate."""

import trustme

from envoymesh.admin.certificate import NEVER, days_until_first_expires, describe

DAY = 86400


def test_a_certificate_is_described() -> None:
    issued = trustme.CA().issue_cert("a.example", "127.0.0.1")
    (details,) = describe(issued.cert_chain_pems[0].bytes(), "/c.pem", now=0)
    assert details.path == "/c.pem"
    assert list(details.subject_alt_names) == [("dns", "a.example"), ("ip_address", "127.0.0.1")]
    assert int(details.serial_number, 16) > 0
    assert details.days_until_expiration == details.expiration_time // DAY
    assert details.valid_from < details.expiration_time


def test_an_expired_certificate_has_no_days_left() -> None:
    issued = trustme.CA().issue_cert("a.example")
    (details,) = describe(issued.cert_chain_pems[0].bytes(), "/c.pem", now=2**40)
    assert details.days_until_expiration == 0
    assert days_until_first_expires([details]) == 0


def test_no_certificate_never_expires() -> None:
    assert days_until_first_expires([]) == NEVER == 4294967295
