"""Cuts in configuration messages, in place: secrets redacted, and all but a field mask's paths removed.

Both look into Any fields. It must not know which messages it cuts; what is secret is said by the messages themselves
(the option `udpa.annotations.sensitive`).
"""

from __future__ import annotations

from google.protobuf.any_pb2 import Any
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from udpa.annotations import sensitive_pb2

from envoymesh.config.messages import message_class

REDACTED = "[redacted]"
Tree = dict[str, "Tree"]


class MaskError(Exception):
    """A mask names a path that the message does not have."""


def unpacked(value: Any) -> Message:
    """The message in an Any."""
    message = message_class(value.TypeName())()
    value.Unpack(message)
    return message


def copied(message: Message) -> Message:
    """A copy that may be cut."""
    copy = type(message)()
    copy.CopyFrom(message)
    return copy


def is_sensitive(field: FieldDescriptor) -> bool:
    """Whether the message says that a field is secret."""
    return bool(field.GetOptions().Extensions[sensitive_pb2.sensitive])


def redact(message: Message, *, sensitive: bool = False) -> None:
    """Replace the texts and bytes of sensitive fields, and clear their other scalars, all the way down."""
    if isinstance(message, Any):
        if message.type_url:
            held = unpacked(message)
            redact(held, sensitive=sensitive)
            message.Pack(held)
        return
    for field, value in message.ListFields():
        secret = sensitive or is_sensitive(field)
        if field.message_type is None:
            if secret:
                _redact_scalar(message, field, value)
        elif field.message_type.GetOptions().map_entry:
            _redact_map(message, field, secret)
        else:
            for item in value if field.is_repeated else (value,):
                redact(item, sensitive=secret)


def _redact_scalar(message: Message, field: FieldDescriptor, value: object) -> None:
    mark: str | bytes | None = None
    if field.type == FieldDescriptor.TYPE_STRING:
        mark = REDACTED
    elif field.type == FieldDescriptor.TYPE_BYTES:
        mark = REDACTED.encode()
    if mark is None:
        message.ClearField(field.name)
    elif field.is_repeated:
        getattr(message, field.name)[:] = [mark] * len(value)  # type: ignore[arg-type]
    else:
        setattr(message, field.name, mark)


def _redact_map(message: Message, field: FieldDescriptor, secret: bool) -> None:
    assert field.message_type is not None
    kind = field.message_type.fields_by_name["value"].type
    entries = getattr(message, field.name)
    if kind == FieldDescriptor.TYPE_MESSAGE:
        for key in entries:
            redact(entries[key], sensitive=secret)
    elif secret and kind == FieldDescriptor.TYPE_STRING:
        for key in list(entries):
            entries[key] = REDACTED
    elif secret:
        message.ClearField(field.name)


class Mask:
    """A field mask: comma-separated paths such as `cluster.name`. Only the last step of a path may be repeated."""

    def __init__(self, text: str) -> None:
        self._tree: Tree = {}
        for path in text.split(","):
            branch = self._tree
            for step in path.split("."):
                branch = branch.setdefault(step, {})

    def trim(self, message: Message) -> None:
        """Keep only what the mask names. Raises MaskError, with the message possibly half cut."""
        _trim(message, self._tree)


def _trim(message: Message, tree: Tree) -> None:
    if isinstance(message, Any):
        held = unpacked(message)
        _trim(held, tree)
        message.Pack(held)
        return
    fields = message.DESCRIPTOR.fields_by_name
    for step, below in tree.items():
        if step not in fields or (below and (fields[step].message_type is None or fields[step].is_repeated)):
            raise MaskError(step)
    for field, value in message.ListFields():
        if field.name not in tree:
            message.ClearField(field.name)
        elif tree[field.name]:
            _trim(value, tree[field.name])
