#!/usr/bin/env bash
# Installs Azurite, Azure's storage emulator, for the integration tests.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

one_at_a_time "$@"
say "Installing Azurite $AZURITE_VERSION (about 20 s)"
mkdir -p "$tools"
# npm would take a package for whole that an interrupted run had begun to unpack.
rm -rf "$tools/node_modules"
npm install --prefix "$tools" --no-save --no-package-lock --no-audit --no-fund --loglevel=error \
    "azurite@$AZURITE_VERSION"
