"""From the files of the command line to a checked Bootstrap message.

The order is Envoy's: the file, the text of ``--config-yaml`` merged over it,
then the checks of the merged whole. This module must not know what a field
means: what envoymesh supports is found out by those who read the message.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from envoymesh.config.checks import check
from envoymesh.config.errors import raise_all
from envoymesh.config.files import FileError, read_file
from envoymesh.config.messages import new_bootstrap
from envoymesh.config.parse import Parser
from envoymesh.config.reader import Reader
from envoymesh.config.source import Key, Source, spellings
from envoymesh.config.yaml_loader import Document, load_json, load_yaml
from envoymesh.errors import ConfigError

CONFIG_YAML = "--config-yaml"
"""The source that errors in the text of the flag name."""


@dataclass(frozen=True)
class LoadedBootstrap:
    """A bootstrap that has passed every check of its own types.

    Attributes:
        message: the envoy.config.bootstrap.v3.Bootstrap.
        source: the file and lines of each path.
        warnings: lines to log: duplicate keys, deprecated fields, unknown fields passed over.
        unknown_fields: how many unknown fields were passed over.
    """

    message: Any
    source: Source
    warnings: tuple[str, ...] = field(default=())
    unknown_fields: int = 0

    def reader(self) -> Reader:
        """Make a reader of the whole; its `Reader.finish` refuses what nobody read."""
        return Reader(self.message, "", self.source)


def load_bootstrap(
    path: str | None, config_yaml: str = "", allow_unknown_static_fields: bool = False
) -> LoadedBootstrap:
    """Read, merge and check a bootstrap.

    Args:
        path: the file: YAML if it ends in .yaml or .yml, else JSON; None for none.
        config_yaml: text that is merged over the file: a list adds to the
            file's, a message merges field by field, anything else replaces.
        allow_unknown_static_fields: warn of unknown fields rather than refuse them.

    Raises:
        ConfigError: it can't be read, parsed, or breaks a rule of its message types.
        MultipleConfigError: likewise, for more than one reason.
    """
    if not path and not config_yaml:
        raise ConfigError("no configuration: give --config-path or --config-yaml")
    bootstrap = new_bootstrap()
    base = Document(value={})
    source = Source()
    warnings: list[str] = []
    unknown = 0
    if path:
        base = read_document(path)
        source = Source(path, base.lines, aliases=base.aliases)
        unknown += _parse(bootstrap, base, source, allow_unknown_static_fields, warnings)
    if config_yaml:
        over = load_yaml(config_yaml, CONFIG_YAML)
        override = new_bootstrap()
        at = Source(CONFIG_YAML, over.lines)
        unknown += _parse(override, over, at, allow_unknown_static_fields, warnings)
        bootstrap.MergeFrom(override)
        source.override = Source(CONFIG_YAML, {shifted(key, base.value): line for key, line in over.lines.items()})
    found = check(bootstrap, source)
    raise_all(found.errors)
    return LoadedBootstrap(bootstrap, source, (*warnings, *found.warnings), unknown)


def read_document(path: str) -> Document:
    """Read one configuration file as plain values, by the ending of its name.

    Raises:
        ConfigError: it can't be read, isn't UTF-8, or isn't YAML or JSON.
    """
    ending = Path(path).suffix.lower()
    if ending in (".pb", ".pb_text"):
        raise ConfigError("protobuf files are not supported: write the configuration as YAML or JSON", "", path)
    try:
        text = read_file(path).decode()
    except UnicodeDecodeError as error:
        raise ConfigError(f"not UTF-8: byte {error.start} is {error.object[error.start]:#04x}", "", path) from error
    except FileError as error:
        raise ConfigError(f"cannot read the file: {error}", "", path) from error
    return load_yaml(text, path) if ending in (".yaml", ".yml") else load_json(text, path)


def _parse(message: Any, document: Document, source: Source, allow_unknown: bool, warnings: list[str]) -> int:
    """Fill a message from a document, and add its warnings; the number of unknown fields among them."""
    if not isinstance(document.value, dict):
        raise ConfigError("expected a mapping, the fields of a Bootstrap", "", source.file)
    parser = Parser(source, allow_unknown)
    parser.fill(message, document.value)
    raise_all(parser.errors)
    warnings.extend((*document.warnings, *parser.warnings))
    return len(parser.warnings)


def shifted(key: Key, base: Any) -> Key:
    """Give the path that a part of the merged-over text has in the merged message.

    A list element comes after those of the file's list at the same place;
    an Any is replaced whole, so below it nothing moves.

    Args:
        key: the path in the text.
        base: the plain value of the file.
    """
    result: list[str | int] = []
    for part in key:
        if isinstance(part, int):
            count = len(base) if isinstance(base, list) else 0 if base is None else 1
            result.append(part + count)
            base = None
        else:
            result.append(part)
            base = _below(base, part)
    return tuple(result)


def _below(base: Any, part: str) -> Any:
    if not isinstance(base, Mapping) or "@type" in base:
        return None
    return next((base[name] for name in spellings(part) if name in base), None)
