"""What the admin shows of live objects."""

from types import SimpleNamespace
from typing import Any

import trustme

from envoymesh.network.settings import CommonTlsSettings, UpstreamTlsSettings, ValidationSettings
from envoymesh.network.tls.tls_context import upstream_context
from envoymesh.server.admin import certificates


def context(ca: trustme.CA | None = None) -> Any:
    pem = b"" if ca is None else ca.cert_pem.bytes()
    validation = ValidationSettings(trusted_ca=pem, trusted_ca_path="ca.pem")
    return upstream_context(UpstreamTlsSettings(CommonTlsSettings(validation=validation)))


def test_certs_are_those_of_listeners_and_of_clusters_one_for_each() -> None:
    of_listener, with_ca, without = context(trustme.CA()), context(trustme.CA()), context()
    listeners: Any = [SimpleNamespace(tls_contexts=[of_listener])]
    clusters: Any = [SimpleNamespace(tls_contexts=lambda each=each: each) for each in ([], [with_ca], [without])]
    entries = list(certificates(listeners, clusters, 0.0))
    shown = [[each.path for each in entry.ca_cert] for entry in entries]
    assert shown == [["ca.pem"], ["ca.pem"], []]
    assert [entry.ca_cert[0].serial_number for entry in entries[:2]] == [
        f"{facts.serial_number}" for made in (of_listener, with_ca) for _, facts in made.ca_certificates()
    ]
