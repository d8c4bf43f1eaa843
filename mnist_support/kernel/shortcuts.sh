# What evcxr and its rust-analyzer find in place of the machine's own, so that a kernel starts and
# compiles its cells sooner. `source`d by start.sh; README.md says what each shortcut relies on.

# Where lld is installed, evcxr has cells linked by it, with a flag for which cargo would compile
# every crate again; but where mold is, evcxr runs cargo through that and adds no flag.
if command -v lld >/dev/null && ! command -v mold >/dev/null; then
    export PATH=$kernel/system_linker:$PATH
fi

# A toolchain whose cargo and rustc answer sooner (toolchain/). rustup takes a toolchain by its
# path; without rustup it is found on the PATH.
export KERNEL_ROOT=$root KERNEL_SLOT=$folder KERNEL_SYSROOT=$sysroot
# To the process of the cells, evcxr names a compiled cell in a line of words. Where the slot's path
# has a space, the folder is kept open and named by its descriptor, which all processes of the
# kernel inherit.
export KERNEL_LOADED=$KERNEL_SLOT
if [[ $KERNEL_SLOT == *[[:space:]]* ]]; then
    exec {slot_folder}<"$KERNEL_SLOT"
    KERNEL_LOADED=/proc/self/fd/$slot_folder
fi
toolchain=$root/target/kernel/toolchain
mkdir -p "$toolchain/bin" "$toolchain/library"
ln -sfn "$KERNEL_SYSROOT/lib" "$toolchain/lib"
ln -sfn "$kernel/toolchain/"{cargo,rustc} "$toolchain/bin"
export RUSTUP_TOOLCHAIN=$toolchain CARGO=$toolchain/bin/cargo
command -v rustup >/dev/null || export PATH=$toolchain/bin:$PATH
# What an earlier kernel has noted for its cells.
rm -rf "$KERNEL_SLOT/session"
mkdir "$KERNEL_SLOT/session"

# Rust's own library without the processors' instructions (core::arch): they are half of all
# sources, and rust-analyzer would read them for 2 seconds at each start.
if [[ -e $library/core ]]; then
    parts=()
    for part in "$library"/*; do
        [[ $part == */stdarch ]] || parts+=("$part")
    done
    ln -sfn -t "$toolchain/library" "${parts[@]}"
    export RUST_SRC_PATH=$toolchain/library
fi
