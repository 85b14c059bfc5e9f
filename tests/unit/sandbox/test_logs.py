from pathlib import Path

from envoymesh.sandbox.logs import LogReader, follow


def test_lines_carry_their_replicas_name_and_come_once(tmp_path: Path) -> None:
    (tmp_path / "front-1.log").write_text("a\nb\nhalf")
    (tmp_path / "x-1.log").write_text("c\n")
    reader = LogReader(tmp_path, "")
    assert list(reader.lines()) == ["front-1  | a", "front-1  | b", "x-1      | c"]
    with (tmp_path / "front-1.log").open("a") as file:
        file.write(" now whole\n")
    assert list(reader.lines()) == ["front-1  | half now whole"]


def test_one_replica_only(tmp_path: Path) -> None:
    for name in ("a-1", "a-10"):
        (tmp_path / f"{name}.log").write_text(f"{name}\n")
    assert list(LogReader(tmp_path, "a-1").lines()) == ["a-1  | a-1"]


def test_follow_shows_what_was_written_until_the_end(tmp_path: Path) -> None:
    log = tmp_path / "a-1.log"
    log.write_text("one\n")
    shown: list[str] = []
    answers = iter([True, False])

    def running() -> bool:
        if shown:
            log.write_text("one\ntwo\n")
        return next(answers)

    follow(LogReader(tmp_path, ""), shown.append, running)
    assert shown == ["a-1  | one", "a-1  | two"]
