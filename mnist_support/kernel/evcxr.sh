#!/usr/bin/env bash
# Compiles the Rust kernel for Jupyter into .tools/bin.
source "$(dirname "${BASH_SOURCE[0]}")/../scripts/common.sh"

lock=evcxr one_at_a_time "$@"
if [[ -x $tools/bin/evcxr_jupyter ]] &&
    grep -qs "^\"evcxr_jupyter $EVCXR_VERSION " "$tools/.crates.toml"; then
    exit
fi
say "Compiling the Rust kernel, evcxr_jupyter $EVCXR_VERSION (3 to 5 minutes on 2 cores)"

# What rust-analyzer works with at a kernel's start and before each cell, by cargo's names. The rest of
# it (assists, completion, the protocol) answers once in a while, and is half of what is compiled.
hot=(
    ra_ap_{base_db,cfg,edition,hir,hir_def,hir_expand,hir_ty,ide_db,intern,mbe,parser,span,stdx}
    ra_ap_{syntax,syntax-bridge,tt,vfs}
    ra-ap-rustc_{hashes,index,lexer,next_trait_solver,parse_format,type_ir}
    arrayvec bitflags boxcar dashmap drop_bomb ena hashbrown indexmap la-arena memchr mimalloc rowan
    rustc-hash salsa serde_json smallvec smol_str text-size thin-vec triomphe
)
profile=(opt-level=1 'lto="off"' codegen-units=16 debug=false)
for crate in "${hot[@]}"; do profile+=("package.$crate.opt-level=3"); done
# Nobody asks for these in a notebook, and they are large.
for crate in ra_ap_ide_{assists,diagnostics,ssr}; do profile+=("package.$crate.opt-level=0"); done
settings=()
for setting in "${profile[@]}"; do settings+=(--config "profile.release.$setting"); done

# Kept until all is compiled: a run that is interrupted goes on there.
build=$tools/build-evcxr-$EVCXR_VERSION
# From another folder: this repository's cargo settings are not for tools.
cd /
quiet=--quiet
if [[ -t 2 ]]; then quiet=; fi
CARGO_TARGET_DIR=$build cargo install $quiet --locked "evcxr_jupyter@$EVCXR_VERSION" --root "$tools" \
    "${settings[@]}"
rm -rf "$tools"/build*
