#!/usr/bin/env bash
# Compiles libtorch's C interface into a shared library and tells cargo where it is.
# Usage: libtorch.sh cpu|cuda
#
# torch-sys would compile the same two files into a static library. Notebook cells need a shared
# one, and on a CPU nothing may be linked to CUDA; so .cargo/libtorch.toml, which this script
# writes, replaces the build script of torch-sys.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

one_at_a_time "$@"
variant=$1
out=$root/target/$triple/debug/libtorch
torch=$(torch_folder)

# The order is that of torch-sys's build script.
case $variant in
cpu) libraries=(torch_cpu c10) ;;
cuda) libraries=(torch_cuda torch_cpu torch c10) ;;
*) fail "TORCH=$variant is neither cpu nor cuda." ;;
esac

# Cargo adds search folders to LD_LIBRARY_PATH for what it runs if they lie where its own output does:
# for programs and tests that is the target's folder, for examples in the documentation the host's.
host=$root/target/debug/libtorch
mkdir -p "$out" "$root/target/debug"
ln -sfn "$torch/lib" "$out/lib"
ln -sfn "$out" "$host"

say "Fetching the crates"
(cd "$root" && cargo fetch --locked --quiet)
# Without libtorch.toml cargo still finds the sources: nothing is built here.
sources=$(cd "$root" && cargo metadata --locked --offline --format-version 1 |
    "$PYTHON_ENV/bin/python" -c '
import json, os, sys
packages = json.load(sys.stdin)["packages"]
manifest = next(p["manifest_path"] for p in packages if p["name"] == "torch-sys")
print(os.path.join(os.path.dirname(manifest), "libtch"))')

compiler=${CXX:-g++}
command -v "$compiler" >/dev/null ||
    fail "there is no C++ compiler ($compiler): install g++, or name another with CXX=..."
flags=(-O1 -std=c++17 -fPIC -w -DGLOG_USE_GLOG_EXPORT)
key=$({
    echo "$TORCH_VERSION $variant ${flags[*]}"
    "$compiler" --version
    cat "$sources"/*.cpp "$sources"/*.h
} | sha256sum)
if [[ ! -e $out/libtch.so || ! -e $out/libtch.key || $(<"$out/libtch.key") != "$key" ]]; then
    say "Compiling libtorch's C interface (about 1 minute)"
    objects=$(mktemp -d "$out/objects.XXXXXX")
    leftovers+=("$objects")
    # Both at once: each takes a core, and a minute or a half.
    compiling=()
    for file in torch_api torch_api_generated; do
        # What a shell starts in the background ignores Ctrl-C, unless it is told otherwise.
        (trap - INT && exec "$compiler" "${flags[@]}" -c -I"$torch/include" \
            -I"$torch/include/torch/csrc/api/include" -I"$sources" "$sources/$file.cpp" \
            -o "$objects/$file.o") &
        compiling+=($!)
    done
    for process in "${compiling[@]}"; do
        wait "$process" || fail "libtorch's C interface could not be compiled, see above."
    done
    # Every library stays linked even where the interface names none of its symbols: CUDA's
    # registers itself when it is loaded.
    "$compiler" -shared "$objects"/*.o -o "$out/libtch.so.part" \
        -L"$torch/lib" -Wl,--no-as-needed "${libraries[@]/#/-l}" -Wl,-rpath,'$ORIGIN/lib'
    mv "$out/libtch.so.part" "$out/libtch.so"
    printf '%s\n' "$key" >"$out/libtch.key"
fi

linked=$(printf ', "dylib=%s"' tch "${libraries[@]}")
write_if_changed "$root/.cargo/libtorch.toml" <<TOML
# Written by make: libtorch for the $variant.
[target.$triple.tch]
rustc-link-search = ["native=$out", "native=$out/lib", "native=$host", "native=$host/lib"]
rustc-link-lib = [${linked:2}]
libtorch_lib = "$out/lib"
TOML
