"""`python -m vendoring` writes the page's libraries anew; `--check` compares what is committed with npm."""

import sys

from vendoring.libraries import FOLDER, VendoringError, fetch, write


def main(arguments: list[str]) -> int:
    """Exit code 1, with a sentence, where a package or a file is not what the lock file says."""
    try:
        files = fetch()
    except (OSError, VendoringError, KeyError) as problem:
        print(f"vendoring: {problem}", file=sys.stderr)
        return 1
    if "--check" not in arguments:
        write(files)
        return 0
    other = [
        name for name, data in files.items() if not (FOLDER / name).is_file() or (FOLDER / name).read_bytes() != data
    ]
    for name in other:
        print(f"vendoring: {FOLDER / name} is not what npm has", file=sys.stderr)
    return 1 if other else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
