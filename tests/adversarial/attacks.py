"""Every attack there is, by name."""

from __future__ import annotations

import time

from tests.adversarial.attack import Attack, Ground
from tests.adversarial.attacks_http1 import HTTP1
from tests.adversarial.attacks_http2 import HTTP2
from tests.adversarial.attacks_tls import TLS
from tests.adversarial.attacks_upstream import ADMIN, UPSTREAM


def _nothing(ground: Ground) -> None:
    time.sleep(ground.seconds)


CALM = Attack("calm", "no attack: the prober alone", _nothing)
"""What the others are held against."""

ATTACKS: tuple[Attack, ...] = (CALM, *HTTP1, *HTTP2, *TLS, *UPSTREAM, *ADMIN)
BY_NAME = {attack.name: attack for attack in ATTACKS}
