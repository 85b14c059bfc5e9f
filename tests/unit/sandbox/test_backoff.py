from envoymesh.sandbox.backoff import LONGEST_SECONDS, RECOVERED_SECONDS, Backoff


def test_it_doubles_up_to_the_longest() -> None:
    backoff = Backoff()
    pauses = [backoff.after(0.0) for _ in range(40)]
    assert pauses[:4] == [0.1, 0.2, 0.4, 0.8]
    assert pauses[-1] == LONGEST_SECONDS
    assert pauses == sorted(pauses)


def test_a_long_run_is_a_recovery() -> None:
    backoff = Backoff()
    for _ in range(5):
        backoff.after(RECOVERED_SECONDS - 0.1)
    assert backoff.failures == 5
    assert backoff.after(RECOVERED_SECONDS) == 0.1
    assert backoff.failures == 1
