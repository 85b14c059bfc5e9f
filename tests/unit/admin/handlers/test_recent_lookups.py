"""/stats/recentlookups and its switches."""


def test_only_the_number_is_known_until_it_is_enabled(ask, context) -> None:
    context.store.scope("a.").counter("x")
    assert ask("/stats/recentlookups").body == (
        "Lookup tracking is not enabled. Use /stats/recentlookups/enable to enable.\n\ntotal: 1\n"
    )


def test_names_with_their_counts(ask, context) -> None:
    assert ask("/stats/recentlookups/enable", "POST").body == "OK\n"
    for name in ("x", "y", "x"):
        context.store.scope("a.").counter(name)
    assert ask("/stats/recentlookups").body == "   Count Lookup\n       2 a.x\n       1 a.y\n\ntotal: 3\n"
    assert ask("/stats/recentlookups/clear", "POST").body == "OK\n"
    assert ask("/stats/recentlookups").body == "   Count Lookup\n\ntotal: 0\n"
    assert ask("/stats/recentlookups/disable", "POST").body == "OK\n"
    assert "not enabled" in ask("/stats/recentlookups").body


def test_the_switches_want_post(ask) -> None:
    assert {ask(f"/stats/recentlookups/{switch}").status for switch in ("enable", "disable", "clear")} == {405}
