# Compiles a cell as cargo would. `source`d by the script `cargo`.
#
# For each cell, cargo looks again at 300 packages, to find that only the cell is new. Therefore the script
# `rustc` notes the command by which cargo compiled a cell, and the next cell is compiled by that command, if
# nothing that cargo would look at is newer than the note: manifests, settings, the crate's sources,
# libraries, the compiler, the environment. Else, and in a kernel's first cell, cargo does it.

session=$KERNEL_SLOT/session

# Compiles or checks and exits.
compile_cell() {
    local loaded=${KERNEL_LOADED:-$KERNEL_SLOT} build=("${@/#check/build}") environment output status=0
    # As a hash: there may be secrets in it.
    environment=$({ printf '%s\n' "${build[@]}"; declare -px; } | sha256sum)
    if is_current; then
        output=$session/output
        mkdir -p "$output"
        if [[ $command == check ]]; then
            bash "$session/command" --emit=metadata --out-dir "$output" || status=$?
        else
            bash "$session/command" --emit=link --out-dir "$output" || status=$?
        fi
        if ((status == 0)) && [[ $command == build ]]; then
            # What cargo says, as far as evcxr reads it.
            output=$loaded${output#"$KERNEL_SLOT"}
            output=${output//\\/\\\\}
            printf '{"reason":"compiler-artifact","target":{"name":"ctx"},"filenames":["%s/libctx.so"]}\n' \
                "${output//\"/\\\"}"
        fi
        # 1 is an error in the cell; with any other the compiler itself has failed.
        ((status > 1)) || exit "$status"
    fi

    rm -f "$session/command"
    printf '%s' "$environment" >"$session/environment"
    touch "$session/begun"
    # `cargo check` would first check every crate from the ground up, for minutes: a check has outputs of its
    # own. To build finds the same errors.
    if [[ $loaded == "$KERNEL_SLOT" ]]; then
        "$cargo" "${build[@]}" || status=$?
    else
        "$cargo" "${build[@]}" | while IFS= read -r line; do
            printf '%s\n' "${line//"\"$KERNEL_SLOT/"/"\"$loaded/"}"
        done || status=$?
    fi
    # Where the sources of other crates lie is not known here: cargo is to look at them each time.
    if [[ -e $session/command && -n $(other_crates) ]]; then
        rm "$session/command"
    fi
    exit "$status"
}

# Whether the noted command is still what cargo would run.
is_current() {
    [[ -e $session/command && $(<"$session/environment") == "$environment" ]] || return 1
    # A program that evcxr or the user puts before rustc is cargo's to run.
    [[ -z ${RUSTC_WRAPPER-} ]] || return 1
    local library sources newer
    while read -r library; do
        [[ -e $library && ! $library -nt $session/command ]] || return 1
    done <"$session/libraries"
    sources=(
        "$KERNEL_SYSROOT/bin/rustc" "$KERNEL_ROOT/.cargo" "$KERNEL_ROOT/Cargo.toml"
        "$KERNEL_ROOT/mnist_support/"{Cargo.toml,build.rs,src,native,notebook}
        "$KERNEL_SLOT/Cargo.toml" "$cells/Cargo.toml" "$cells/.cargo"
    )
    # Cargo was begun before the command was noted. What is missing, `find` says as well.
    newer=$(find "${sources[@]}" -newer "$session/begun" -print -quit 2>&1)
    [[ -z $newer ]]
}

# The crates whose sources are neither cargo's nor this repository's: `:dep mine = { path = "…" }`.
other_crates() {
    awk -F '"' '
        function end() { if (name != "" && !source) print name; name = ""; source = 0 }
        /^\[\[package\]\]/ { end() }
        /^name = / { name = $2 }
        /^source = / { source = 1 }
        END { end() }
    ' "$KERNEL_SLOT/Cargo.lock" | grep -vxE 'ctx|locked_versions|mnist_support|mnist_support_notebook'
}
