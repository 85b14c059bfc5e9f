"""Request ids are UUIDs of version 4, and no two are the same."""

import uuid

from envoymesh.filters.network.http_connection_manager.request_id import RequestIdGenerator


def test_ids_are_version_4_uuids() -> None:
    asked: list[int] = []

    def random_bytes(count: int) -> bytes:
        asked.append(count)
        return bytes((i * 7 + len(asked) * 13) % 256 for i in range(count))

    ids = RequestIdGenerator(random_bytes)
    made = [ids.generate() for _ in range(300)]
    for each in made:
        assert str(uuid.UUID(each.decode())) == each.decode()
        assert uuid.UUID(each.decode()).version == 4
        assert uuid.UUID(each.decode()).variant == uuid.RFC_4122
    assert len(asked) == 2, "random bytes are taken in blocks"


def test_zeros_keep_the_form() -> None:
    assert RequestIdGenerator(bytes).generate() == b"00000000-0000-4000-8000-000000000000"
