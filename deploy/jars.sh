# shellcheck shell=bash
# Sourced by the scripts that run a program from its published jars. Needs their function `die`.

# fetch_jars NAME POM DIR LIB: downloads the jars that POM names to DIR/LIB with Maven, unless DIR is complete. A lock and a rename make it safe to call
# concurrently.
fetch_jars() {
    local name=$1 pom=$2 dir=$3 lib=$4 cache part=$3.part
    [ ! -e "$dir/complete" ] || return 0
    cache=$(dirname "$dir")
    command -v mvn >/dev/null || die "Maven is missing: apt-get install maven"
    mkdir -p "$cache"
    (
        flock 9
        [ -e "$dir/complete" ] && exit 0
        rm -rf "$part"; mkdir -p "$part"
        cp "$pom" "$part/pom.xml"
        echo "${0##*/}: downloading the jars of $name with Maven" >&2
        mvn -q -B -f "$part/pom.xml" dependency:copy-dependencies -DincludeScope=runtime \
            -DoutputDirectory="$part/$lib" >&2 || exit 1
        touch "$part/complete"
        rm -rf "$dir"; mv "$part" "$dir"
    ) 9>"$cache/lock" || die "Maven could not download $name: see its output above"
}
