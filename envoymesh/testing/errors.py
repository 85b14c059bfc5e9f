"""What goes wrong with tests' proxies. It must not know why."""

from envoymesh.errors import EnvoymeshError


class TestingError(EnvoymeshError):
    """A proxy, a mesh or a fake cannot be as the test asks."""

    # The name begins as pytest's classes of tests do.
    __test__ = False
