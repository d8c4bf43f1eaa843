#!/usr/bin/env bash
# Installs Azurite, Azure's storage emulator, for the integration tests.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

say "Installing Azurite $AZURITE_VERSION (about 20 s)"
mkdir -p "$tools"
npm install --prefix "$tools" --no-save --no-package-lock --no-audit --no-fund --loglevel=error \
    "azurite@$AZURITE_VERSION"
