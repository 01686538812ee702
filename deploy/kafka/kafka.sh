#!/usr/bin/env bash
# Runs Apache Kafka 4.x (KRaft) on this machine from its published jars: no image and no tarball are needed.
set -euo pipefail

usage() {
    cat <<'TEXT'
kafka.sh: Apache Kafka on this machine, from its published jars

  kafka.sh start  [--nodes 1|3] [--dir D] [--port P]   start, wait until it answers, print the bootstrap address
  kafka.sh stop   [--dir D]                            stop every node
  kafka.sh status [--dir D]                            print the nodes; exit code 0 if all are running, 3 if not
  kafka.sh run    --data D --listen BIND[=HOST:PORT]...  run one node in the foreground until SIGTERM; HOST:PORT is the advertised
                                                       address if it differs (same options as Jung's own broker)
  kafka.sh tool   NAME ARGS...                         run one of Kafka's console tools, e.g. `tool topics --help`
  kafka.sh jars                                        download the jars only, print the class path

  --nodes  1 (default) or 3; every node is both broker and controller
  --dir    data, logs and pid files (default: $TMPDIR/jung-kafka-$UID); kept by `stop`; delete it for a fresh start
  --port   first client port (default 9092): nodes use P, P+1, P+2 and P+100, P+101, P+102; 0 picks free ones

Needs Java 17 or newer and Maven (Debian: apt-get install openjdk-17-jre-headless maven).
Jars are kept in ${XDG_CACHE_HOME:-~/.cache}/jung/kafka. KAFKA_HEAP (default 512m) sets the heap of a node.
Tools: topics, console-producer, console-consumer, consumer-groups, configs, get-offsets, broker-api-versions,
producer-perf-test, delete-records, or any main class. Safe to run twice.
TEXT
}

die() { echo "kafka.sh: $*" >&2; exit 1; }

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=/dev/null
. "$here/../jars.sh"
version=$(sed -n 's:.*<kafka.version>\(.*\)</kafka.version>.*:\1:p' "$here/pom.xml")
home=${HOME:-$(getent passwd "$(id -u)" | cut -d: -f6)}
cache=${XDG_CACHE_HOME:-$home/.cache}/jung/kafka
dir=${TMPDIR:-/tmp}/jung-kafka-$(id -u)
nodes=1
port=9092
heap=${KAFKA_HEAP:-512m}

# Prints the class path; downloads the jars first if this version is not in the cache.
jars() {
    fetch_jars "Apache Kafka $version" "$here/pom.xml" "$cache/$version" libs
    echo "$cache/$version/libs/*"
}

check_java() {
    command -v java >/dev/null || die "Java is missing: apt-get install openjdk-17-jre-headless"
    local major
    major=$(java -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p')
    [ "${major:-0}" -ge 17 ] || die "Apache Kafka 4 needs Java 17 or newer, found ${major:-none}: apt-get install openjdk-17-jre-headless"
}

# run_java LEVEL CLASS ARGS...: logs from LEVEL up, to stderr.
run_java() {
    local level=$1; shift
    java -Xmx256m -XX:TieredStopAtLevel=1 -Dorg.slf4j.simpleLogger.defaultLogLevel="$level" -cp "$(jars)" "$@"
}

tool() {
    local name=${1:-}; [ -n "$name" ] || die "tool: no name given, e.g. topics"; shift
    case $name in
        topics)              set -- org.apache.kafka.tools.TopicCommand "$@" ;;
        console-producer)    set -- org.apache.kafka.tools.ConsoleProducer "$@" ;;
        console-consumer)    set -- org.apache.kafka.tools.consumer.ConsoleConsumer "$@" ;;
        consumer-groups)     set -- org.apache.kafka.tools.consumer.group.ConsumerGroupCommand "$@" ;;
        configs)             set -- kafka.admin.ConfigCommand "$@" ;;
        get-offsets)         set -- org.apache.kafka.tools.GetOffsetShell "$@" ;;
        broker-api-versions) set -- org.apache.kafka.tools.BrokerApiVersionsCommand "$@" ;;
        producer-perf-test)  set -- org.apache.kafka.tools.ProducerPerformance "$@" ;;
        delete-records)      set -- org.apache.kafka.tools.DeleteRecordsCommand "$@" ;;
        *.*)                 set -- "$name" "$@" ;;
        *)                   die "tool: unknown tool $name: see kafka.sh --help" ;;
    esac
    check_java
    run_java error "$@"
}

taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# Finds a free block of ports: P.. for clients, P+100.. for the controllers.
free_port() {
    local p n
    for _ in $(seq 50); do
        p=$((20000 + RANDOM % 12000))
        for n in 0 1 2 100 101 102; do taken $((p + n)) && continue 2; done
        echo "$p"; return
    done
    die "no free block of ports found between 20000 and 32000"
}

# properties ID VOTERS [BIND=HOST:PORT]...: prints server.properties; the node listens on 127.0.0.1 by default.
properties() {
    local id=$1 voters=$2 n=0 pair listeners='' told='' map=''
    shift 2
    [ $# -gt 0 ] || set -- "127.0.0.1:$((port + id - 1))=127.0.0.1:$((port + id - 1))"
    for pair in "$@"; do
        n=$((n + 1))
        listeners+=L$n://${pair%%=*},
        told+=${told:+,}L$n://${pair#*=}
        map+=L$n:PLAINTEXT,
    done
    cat <<TEXT
process.roles=broker,controller
node.id=$id
controller.quorum.voters=$voters
listeners=${listeners}CONTROLLER://127.0.0.1:$((port + 100 + id - 1))
advertised.listeners=$told
listener.security.protocol.map=${map}CONTROLLER:PLAINTEXT
controller.listener.names=CONTROLLER
inter.broker.listener.name=L1
log.dirs=$dir/$id/data
num.partitions=1
offsets.topic.num.partitions=8
offsets.topic.replication.factor=$nodes
transaction.state.log.num.partitions=8
transaction.state.log.replication.factor=$nodes
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=$nodes
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
TEXT
}

# Whether the recorded process of node $1 is our Kafka; its PID may have been reused.
alive() {
    local pid
    pid=$(cat "$dir/$1/pid" 2>/dev/null) || return 1
    { tr '\0' ' ' <"/proc/$pid/cmdline"; } 2>/dev/null | grep -qF "$dir/$1/server.properties"
}

# Sends ApiVersions v0 (key 18, correlation id 7) and expects the 7 in the reply.
answers() {
    local reply
    reply=$(
        exec 3<>"/dev/tcp/127.0.0.1/$1" || exit 1
        printf '\0\0\0\012\0\022\0\0\0\0\0\007\377\377' >&3
        timeout 2 head -c 8 <&3 | od -An -tx1 | tr -d ' \n'
    ) 2>/dev/null
    [ "${reply:8}" = 00000007 ]
}

wait_ready() {
    local id=$1 deadline=$((SECONDS + 120))
    until grep -qsF 'Kafka Server started' "$dir/$id/log" && answers $((port + id - 1)); do
        alive "$id" || { tail -n 20 "$dir/$id/log" >&2; die "node $id exited: see its log $dir/$id/log"; }
        [ $SECONDS -lt $deadline ] || { tail -n 20 "$dir/$id/log" >&2; die "node $id did not answer within 120 s: see its log $dir/$id/log"; }
        sleep 0.3
    done
}

# format ID CLUSTER: formats the storage of a node whose properties exist.
format() {
    local home=$dir/$1
    run_java warn kafka.tools.StorageTool format --ignore-formatted -t "$2" \
        -c "$home/server.properties" >"$home/format.log" 2>&1 \
        || { cat "$home/format.log" >&2; die "formatting the storage of node $1 failed (if --nodes has changed, remove $dir)"; }
}

# The command line of a node: node CLASSPATH PROPERTIES.
node() {
    command=(java "-Xmx$heap" "-Xms$heap" -XX:+UseG1GC -XX:MaxGCPauseMillis=20 -Djava.awt.headless=true
        -Dorg.slf4j.simpleLogger.defaultLogLevel=info -Dorg.slf4j.simpleLogger.showDateTime=true
        -cp "$1" kafka.Kafka "$2")
}

launch() {
    local id=$1 voters=$2 cluster=$3 cp=$4 command
    local home=$dir/$id
    mkdir -p "$home"
    properties "$id" "$voters" >"$home/server.properties"
    format "$id" "$cluster"
    : >"$home/log"
    node "$cp" "$home/server.properties"
    setsid nohup "${command[@]}" >>"$home/log" 2>&1 </dev/null 9>&- &
    echo $! >"$home/pid"
}

new_cluster() { head -c 16 /dev/urandom | base64 | tr '+/' 'AB' | tr -d '='; }

# Runs one node in the foreground. This process becomes the broker, so the caller can stop and measure it.
run() {
    local bind cp command
    [ ${#listen[@]} -gt 0 ] || die "run: no address to listen on, e.g. --listen 127.0.0.1:9092"
    check_java
    cp=$(jars)
    bind=${listen[0]%%=*}; port=${bind##*:}
    mkdir -p "$dir/1"
    properties 1 "1@127.0.0.1:$((port + 100))" "${listen[@]}" >"$dir/1/server.properties"
    format 1 "$(new_cluster)"
    node "$cp" "$dir/1/server.properties"
    exec "${command[@]}"
}

start() {
    local id voters='' cluster cp
    case $nodes in 1 | 3) ;; *) die "--nodes must be 1 or 3, not $nodes" ;; esac
    check_java
    cp=$(jars)
    mkdir -p "$dir"
    exec 9>"$dir/lock"; flock 9
    if [ -e "$dir/bootstrap" ] && all_alive; then cat "$dir/bootstrap"; return; fi
    stop_nodes
    [ "$port" != 0 ] || port=$(free_port)
    [ -e "$dir/cluster" ] || new_cluster >"$dir/cluster"
    cluster=$(cat "$dir/cluster")
    for id in $(seq "$nodes"); do
        taken $((port + id - 1)) && die "port $((port + id - 1)) is in use: choose another with --port, or use --port 0"
        voters+=${voters:+,}$id@127.0.0.1:$((port + 100 + id - 1))
    done
    echo "$nodes" >"$dir/nodes"
    for id in $(seq "$nodes"); do launch "$id" "$voters" "$cluster" "$cp"; done
    local bootstrap=
    for id in $(seq "$nodes"); do
        wait_ready "$id"
        bootstrap+=${bootstrap:+,}127.0.0.1:$((port + id - 1))
    done
    echo "$bootstrap" | tee "$dir/bootstrap"
}

all_alive() {
    local id
    for id in $(seq "$(cat "$dir/nodes")"); do alive "$id" || return 1; done
}

stop_nodes() {
    local id count pid deadline
    count=$(cat "$dir/nodes" 2>/dev/null) || return 0
    for id in $(seq "$count"); do ! alive "$id" || kill -TERM "$(cat "$dir/$id/pid")"; done
    deadline=$((SECONDS + 20))
    for id in $(seq "$count"); do
        while alive "$id"; do
            if [ $SECONDS -ge $deadline ]; then pid=$(cat "$dir/$id/pid"); kill -KILL "$pid" 2>/dev/null || true; fi
            sleep 0.2
        done
        rm -f "$dir/$id/pid"
    done
    rm -f "$dir/bootstrap"
}

status() {
    local id count
    count=$(cat "$dir/nodes" 2>/dev/null) || { echo "no Kafka in $dir"; exit 3; }
    for id in $(seq "$count"); do
        if alive "$id"; then echo "node $id: pid $(cat "$dir/$id/pid"), log $dir/$id/log"; else echo "node $id: not running"; fi
    done
    all_alive || exit 3
    echo "bootstrap: $(cat "$dir/bootstrap" 2>/dev/null || echo 'starting')"
}

command=${1:-}; shift || true
case $command in
    run)
        listen=()
        while [ $# -gt 0 ]; do
            case $1 in
                --data) dir=${2:?--data needs a directory}; shift 2 ;;
                --listen) listen+=("${2:?--listen needs an address}"); shift 2 ;;
                *) die "$1 is not an option of run; see kafka.sh --help" ;;
            esac
        done
        mkdir -p "$dir"; dir=$(realpath "$dir")
        run ;;
    start | stop | status)
        while [ $# -gt 0 ]; do
            case $1 in
                --nodes) nodes=${2:?--nodes needs 1 or 3}; shift 2 ;;
                --dir) dir=${2:?--dir needs a directory}; shift 2 ;;
                --port) port=${2:?--port needs a number}; shift 2 ;;
                *) die "$1 is not an option: see kafka.sh --help" ;;
            esac
        done
        mkdir -p "$(dirname "$dir")"; dir=$(realpath -m "$dir")
        case $command in start) start ;; stop) stop_nodes ;; status) status ;; esac ;;
    tool) tool "$@" ;;
    jars) jars ;;
    -h | --help | help) usage ;;
    *) usage >&2; exit 2 ;;
esac
