#!/usr/bin/env bash
# Has real Apache JMeter read a JTL, from its published jars: no tarball.
set -euo pipefail

usage() {
    cat <<'TEXT'
jmeter.sh: what Apache JMeter makes of a JTL

  jmeter.sh FILE.jtl DIR     read FILE as `jmeter -g` does and write DIR/statistics.json; DIR must not exist or be empty
  jmeter.sh jars             fetch the jars only, print their folder

Exit code 1: JMeter does not accept the file; its words are on stderr.
The jars do not hold JMeter's dashboard pages, so only the figures are written. For the pages, use a JMeter of your own: jmeter -g FILE -o DIR

JMeter's median and percentiles look at the last 20,000 requests only; JMETER_WINDOW (default 20000) sets how many.
Needs Java 8 or newer and Maven (Debian: apt-get install openjdk-17-jre-headless maven).
Jars are kept in ${XDG_CACHE_HOME:-~/.cache}/jung/jmeter.
TEXT
}

die() { echo "jmeter.sh: $*" >&2; exit 2; }

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
version=$(sed -n 's:.*<jmeter.version>\(.*\)</jmeter.version>.*:\1:p' "$here/pom.xml")
cache=${XDG_CACHE_HOME:-$HOME/.cache}/jung/jmeter
home=

# Prints the folder of the jars; fetches them first if this version is not in the cache. Two callers at once are safe.
jars() {
    local jars=$cache/$version
    if [ ! -e "$jars/complete" ]; then
        command -v mvn >/dev/null || die "Maven is missing: apt-get install maven"
        mkdir -p "$cache"
        (
            flock 9
            [ -e "$jars/complete" ] && exit 0
            part=$jars.part
            rm -rf "$part"; mkdir -p "$part"
            cp "$here/pom.xml" "$part/pom.xml"
            echo "jmeter.sh: fetching the jars of Apache JMeter $version with Maven" >&2
            mvn -q -B -f "$part/pom.xml" dependency:copy-dependencies -DincludeScope=runtime \
                -DoutputDirectory="$part/lib" >&2 || exit 1
            touch "$part/complete"
            rm -rf "$jars"; mv "$part" "$jars"
        ) 9>"$cache/lock" || die "Maven could not fetch Apache JMeter $version: see its lines above"
    fi
    echo "$jars/lib"
}

# Makes the least that JMeter wants to find in its home: empty settings, and exporters for the figures.
make_home() {
    local home=$1
    mkdir -p "$home/bin/report-template" "$home/lib/ext" "$home/lib/junit"
    echo 'sampleresult.timestamp.start=true' > "$home/bin/jmeter.properties"
    : > "$home/bin/user.properties"; : > "$home/bin/system.properties"; : > "$home/bin/upgrade.properties"
    printf '_version=5.0\n_file_encoding=UTF-8\n' > "$home/bin/saveservice.properties"
    cat > "$home/bin/reportgenerator.properties" <<'TEXT'
jmeter.reportgenerator.exporter.json.classname=org.apache.jmeter.report.dashboard.JsonExporter
TEXT
    cat > "$home/bin/log4j2.xml" <<'TEXT'
<Configuration status="WARN"><Appenders><Console name="c" target="SYSTEM_ERR"><PatternLayout pattern="%p %c{1}: %m%n%ex{0}"/></Console></Appenders>
<Loggers><Root level="warn"><AppenderRef ref="c"/></Root></Loggers></Configuration>
TEXT
}

read_jtl() {
    local file dir lib
    file=$(realpath -e -- "$1") || die "$1: no such file"
    dir=$(realpath -m -- "$2")
    command -v java >/dev/null || die "Java is missing: apt-get install openjdk-17-jre-headless"
    lib=$(jars)
    home=$(mktemp -d)
    trap 'rm -rf "$home"' EXIT
    make_home "$home"
    cd "$home/bin"
    java -Xmx512m -XX:TieredStopAtLevel=1 -Djava.awt.headless=true -Dlog4j2.configurationFile=log4j2.xml -Djmeter.home="$home" \
        -cp "$lib/*" org.apache.jmeter.NewDriver -Jjmeter.reportgenerator.statistic_window="${JMETER_WINDOW:-20000}" \
        -g "$file" -o "$dir" >&2
    [ -s "$dir/statistics.json" ] || { echo "jmeter.sh: JMeter wrote no statistics.json" >&2; exit 1; }
}

case ${1:-} in
    ''|-h|--help) usage ;;
    jars)         jars ;;
    *)            [ $# -eq 2 ] || die "name a JTL and a folder; see --help"
                  read_jtl "$1" "$2" ;;
esac
