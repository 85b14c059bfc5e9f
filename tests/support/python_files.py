"""Readers of what configures users' files (`envoymesh.scripting.config`)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from google.protobuf import json_format

from envoymesh.config.messages import message_class
from envoymesh.config.reader import Reader

PASSING = str(Path(__file__).with_name("python_filters") / "passing.py")


def own_reader(type_name: str, **value: Any) -> Reader:
    """A reader of a TypedStruct that stands for a type which only this proxy knows."""
    message = message_class("xds.type.v3.TypedStruct")()
    fields = {"type_url": f"type.googleapis.com/{type_name}", "value": value}
    return Reader(json_format.ParseDict(fields, message), "there")
