# Answers to what evcxr's rust-analyzer asks cargo when a kernel starts, and again at `:dep`: which crates
# there are, how rustc is set up. `source`d by the script `cargo`.
#
# An answer is remembered under a hash of the question and of every file that it depends on, for notebooks
# that depend on nothing but the notebook crate: all that those need is in the repository's Cargo.lock. So an
# answer never grows old; where anything differs, cargo is asked.

# Prints the answer and exits, or returns if cargo itself is to be run.
answer() {
    local answers=$KERNEL_SLOT/answers question source
    question=$(question "$@")
    if [[ -e $answers/$question ]]; then
        # Sources of crates that have been removed since would be fetched again by cargo.
        while read -r source; do
            [[ -e $source ]] || return 0
        done <"$answers/$question.sources"
        exec cat "$answers/$question"
    fi

    mkdir -p "$answers"
    if [[ $command == metadata ]]; then
        command -v python3 >/dev/null || return 0
        exec python3 "$here/narrow_metadata.py" "$answers/$question" "$cargo" "$@"
    fi
    local new=$answers/new.$$
    "$cargo" "$@" >"$new" || { rm -f "$new"; return 0; }
    : >"$answers/$question.sources"
    # The answer goes out before it is moved: another kernel process may ask the same at this moment.
    cat "$new"
    mv "$new" "$answers/$question"
    exit
}

question() {
    {
        printf '%s\n' "$PWD" "$@" "${RUSTFLAGS-}" "${RUSTC_BOOTSTRAP-}" "$KERNEL_SYSROOT"
        stat --dereference --format '%s %Y' "$KERNEL_SYSROOT/bin/"{cargo,rustc}
        cat "$KERNEL_SLOT"/{Cargo.toml,Cargo.lock.repository,cells/Cargo.toml} \
            "$KERNEL_ROOT"/{Cargo.toml,mnist_support/Cargo.toml,mnist_support/notebook/Cargo.toml} \
            "$KERNEL_ROOT"/.cargo/*.toml "$cells/.cargo/config.toml" \
            "${CARGO_HOME:-$HOME/.cargo}/config.toml" "$here/narrow_metadata.py" 2>/dev/null || true
    } | sha256sum | cut -d' ' -f1
}
