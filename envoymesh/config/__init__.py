"""Envoy v3 YAML or JSON to official protobuf messages, checked and read through a `Reader`.

The only room that sees YAML. It knows the messages but not what any of them
means: it must not import another room of the package, open a socket or start
anything.
"""
