#!/usr/bin/env bash
# Runs Apache JMeter on a JTL file or a test plan, from its published jars: no tarball is needed.
set -euo pipefail

usage() {
    cat <<'TEXT'
jmeter.sh: runs Apache JMeter on a JTL file or a test plan

  jmeter.sh FILE.jtl DIR     read FILE like `jmeter -g` and write DIR/statistics.json; DIR must be empty or not exist
  jmeter.sh run PLAN.jmx FILE.jtl   run a test plan (HTTP samplers, constant timers) without the GUI and write FILE, which must not exist
  jmeter.sh jars             download the jars only, print their directory

Exit code 1: JMeter does not accept the file; its messages are on stderr.
The jars do not contain JMeter's dashboard pages, so only the figures are written. For the pages use an installed JMeter: jmeter -g FILE -o DIR

JMeter computes median and percentiles over the last 20,000 requests only; JMETER_WINDOW (default 20000) sets how many.
Needs Java 8 or newer and Maven (Debian: apt-get install openjdk-17-jre-headless maven).
Jars are kept in ${XDG_CACHE_HOME:-~/.cache}/jung/jmeter.
TEXT
}

die() { echo "jmeter.sh: $*" >&2; exit 2; }

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=/dev/null
. "$here/../jars.sh"
version=$(sed -n 's:.*<jmeter.version>\(.*\)</jmeter.version>.*:\1:p' "$here/pom.xml")
cache=${XDG_CACHE_HOME:-$HOME/.cache}/jung/jmeter
home=

# Prints the directory of the jars; downloads them first if this version is not in the cache.
jars() {
    fetch_jars "Apache JMeter $version" "$here/pom.xml" "$cache/$version-http" lib
    echo "$cache/$version-http/lib"
}

# Creates the minimal home directory that JMeter needs: empty settings, and an exporter for the figures.
make_home() {
    local home=$1
    mkdir -p "$home/bin/report-template" "$home/lib/ext" "$home/lib/junit"
    echo 'sampleresult.timestamp.start=true' > "$home/bin/jmeter.properties"
    : > "$home/bin/user.properties"; : > "$home/bin/system.properties"; : > "$home/bin/upgrade.properties"
    aliases > "$home/bin/saveservice.properties"
    cat > "$home/bin/reportgenerator.properties" <<'TEXT'
jmeter.reportgenerator.exporter.json.classname=org.apache.jmeter.report.dashboard.JsonExporter
TEXT
    cat > "$home/bin/log4j2.xml" <<'TEXT'
<Configuration status="WARN"><Appenders><Console name="c" target="SYSTEM_ERR"><PatternLayout pattern="%p %c{1}: %m%n%ex{0}"/></Console></Appenders>
<Loggers><Root level="warn"><AppenderRef ref="c"/></Root></Loggers></Configuration>
TEXT
}

# The element names of a test plan and their classes, as far as Jung's plans use them.
aliases() {
    printf '_version=5.0\n_file_encoding=UTF-8\n'
    local converter
    for converter in BooleanPropertyConverter IntegerPropertyConverter LongPropertyConverter StringPropertyConverter; do
        echo "_org.apache.jmeter.save.converters.$converter="
    done
    for converter in HashTreeConverter MultiPropertyConverter TestElementConverter TestElementPropertyConverter; do
        echo "_org.apache.jmeter.save.converters.$converter=collection"
    done
    echo '_org.apache.jmeter.save.ScriptWrapperConverter=mapping'
    cat <<'TEXT'
jmeterTestPlan=org.apache.jmeter.save.ScriptWrapper
hashTree=org.apache.jorphan.collections.ListedHashTree
boolProp=org.apache.jmeter.testelement.property.BooleanProperty
intProp=org.apache.jmeter.testelement.property.IntegerProperty
longProp=org.apache.jmeter.testelement.property.LongProperty
stringProp=org.apache.jmeter.testelement.property.StringProperty
elementProp=org.apache.jmeter.testelement.property.TestElementProperty
collectionProp=org.apache.jmeter.testelement.property.CollectionProperty
TestPlan=org.apache.jmeter.testelement.TestPlan
TestPlanGui=org.apache.jmeter.control.gui.TestPlanGui
ThreadGroup=org.apache.jmeter.threads.ThreadGroup
ThreadGroupGui=org.apache.jmeter.threads.gui.ThreadGroupGui
LoopController=org.apache.jmeter.control.LoopController
ConstantTimer=org.apache.jmeter.timers.ConstantTimer
ConstantTimerGui=org.apache.jmeter.timers.gui.ConstantTimerGui
Arguments=org.apache.jmeter.config.Arguments
HTTPSamplerProxy=org.apache.jmeter.protocol.http.sampler.HTTPSamplerProxy
HttpTestSampleGui=org.apache.jmeter.protocol.http.control.gui.HttpTestSampleGui
TEXT
}

# Runs a test plan. The heap size is that of JMeter's own start script.
run_plan() {
    local plan file lib
    plan=$(realpath -e -- "$1") || die "$1: no such file"
    file=$(realpath -m -- "$2")
    [ -e "$file" ] && die "$2: file exists"
    command -v java >/dev/null || die "Java is missing: apt-get install openjdk-17-jre-headless"
    lib=$(jars)
    home=$(mktemp -d)
    trap 'rm -rf "$home"' EXIT
    make_home "$home"
    cp "$lib"/ApacheJMeter_http-*.jar "$home/lib/ext/"
    cd "$home/bin"
    java -Xms1g -Xmx1g -Djava.awt.headless=true -Dlog4j2.configurationFile=log4j2.xml -Djmeter.home="$home" \
        -cp "$lib/*" org.apache.jmeter.NewDriver -n -t "$plan" -l "$file" -Jsearch_paths="$home/lib/ext" >&2
    [ -s "$file" ] || { echo "jmeter.sh: JMeter wrote no JTL" >&2; exit 1; }
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
    run)          [ $# -eq 3 ] || die "run: expected a test plan and a JTL file; see --help"
                  run_plan "$2" "$3" ;;
    *)            [ $# -eq 2 ] || die "expected a JTL file and a directory; see --help"
                  read_jtl "$1" "$2" ;;
esac
