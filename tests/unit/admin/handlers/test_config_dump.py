"""/certs and /init_dump, in the shapes of the real Envoy 1.40; /config_dump itself is in proto/test_dump.py."""

import json

import pytest

from envoymesh.admin.views import CertificateDetails, CertificateEntry


def test_certs(ask) -> None:
    details = CertificateDetails("/c.pem", "1b", [("dns", "a.example"), ("uri", "spiffe://x")], 29, 0, 86400)
    (entry,) = json.loads(ask("/certs", certificates=lambda: [CertificateEntry(cert_chain=[details])]).body)[
        "certificates"
    ]
    assert entry == {
        "ca_cert": [],
        "cert_chain": [
            {
                "path": "/c.pem",
                "serial_number": "1b",
                "subject_alt_names": [{"dns": "a.example"}, {"uri": "spiffe://x"}],
                "days_until_expiration": "29",
                "valid_from": "1970-01-01T00:00:00Z",
                "expiration_time": "1970-01-02T00:00:00Z",
            }
        ],
    }
    assert ask("/certs").body == '{\n "certificates": []\n}\n'


@pytest.mark.parametrize(
    ("query", "names"), [("", ["listener", "cluster"]), ("?mask=listener", ["listener"]), ("?mask=other", [])]
)
def test_init_dump(ask, query: str, names: list[str]) -> None:
    targets = {"listener": ["RDS x"], "cluster": ["EDS y"]}
    dumped = json.loads(ask(f"/init_dump{query}", unready_targets=lambda: targets).body)
    assert [each["name"] for each in dumped.get("unready_targets_dumps", [])] == names
