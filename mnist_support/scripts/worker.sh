#!/usr/bin/env bash
# Compiles mnist-worker, the program that Spark's executors run.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

say "Compiling the worker for Spark"
build_program mnist-worker
