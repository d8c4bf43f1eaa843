#!/usr/bin/env bash
# Removes the stamps of steps whose results, or whose tools, are gone since: a Python that was upgraded
# behind its environment, a compiler that was uninstalled, a folder that was removed. make asks at each
# start, so it says nothing and takes a few hundredths of a second where all is well.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

stamps=$PYTHON_ENV/.mnist-notebooks
cd "$root"

# `forget STAMPS...` if a step has left one: the step is done again, and what the machine lacks is said
# in check_tools.sh's one message.
forget() {
    rm -f "$@" target/stamps/tools-*
}
there() {
    compgen -G "$1" >/dev/null
}

if [[ -e $stamps/python ]] && ! environment_has pip nbconvert jupyterlab; then
    say "The Python environment $PYTHON_ENV has lost its Python or its packages: they are installed again"
    forget "$stamps"/{python,torch-*}
elif there "$stamps/torch-*" && ! environment_has torch; then
    forget "$stamps"/torch-*
fi
if there 'target/stamps/protoc-*' && [[ ! -x $PYTHON_ENV/bin/protoc ]]; then
    forget target/stamps/protoc-*
fi
if there '.tools/evcxr-*' && [[ ! -x .tools/bin/evcxr_jupyter ]]; then
    forget .tools/evcxr-*
fi
if there '.tools/kernel-*' && [[ ! -e $PYTHON_ENV/share/jupyter/kernels/rust/kernel.json ]]; then
    forget .tools/kernel-*
fi
for own in spark spark_3.5 spark_4.0 spark_4.1 spark_4.2 peers; do
    if there ".tools/$own-*" && ! ".tools/$own/bin/python" -c '' 2>/dev/null; then
        forget .tools/$own-*
    fi
done
for own in .tools/spark*_python-*; do
    [[ ! -e $own/.complete ]] || "$own/bin/python" -c '' 2>/dev/null || rm "$own/.complete"
done
if there '.tools/azurite-*' && [[ ! -e .tools/node_modules/.bin/azurite-blob ]]; then
    forget .tools/azurite-*
fi
# Rust links with cc.
for tool in cargo rustc cc; do
    command -v $tool >/dev/null || forget
done
