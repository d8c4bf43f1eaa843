#!/usr/bin/env bash
# Prints the path of this machine's Chromium, or says on standard error what to install.
# Usage: chromium.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

for name in chromium chromium-browser google-chrome; do
    command -v "$name" && exit
done
fail "there is no Chromium on the PATH. Install one (on Debian the package chromium), and try again."
