# What `tests/lib/cassandra` does for one node, for which it is sourced: Java and the jars, keys, the settings
# file, the process. Uses the settings, `fail` and `detach` of the script.
# shellcheck shell=bash disable=SC2154

first_tokens=('' -9223372036854775808 -3074457345618258603 3074457345618258602)

# --- what a start needs -----------------------------------------------------------------------------------

tool() { printf '%s/bin/%s' "$java_home" "$1"; }

is_java_17() { # HOME: with a compiler
    [[ -x $1/bin/javac ]] && grep -qs '^JAVA_VERSION="17[."]' "$1/release"
}

find_java() {
    local found path_home
    path_home=$(readlink -f "$(command -v javac)") || path_home=
    for found in "${TILL_CASSANDRA_JAVA_HOME:-}" "${JAVA_HOME:-}" "${path_home%/bin/javac}" /usr/lib/jvm/*; do
        if [[ -n $found ]] && is_java_17 "$found"; then
            java_home=$found
            return
        fi
    done
    fail "there is no JDK of Java 17, on which Cassandra runs. Get it by scripts/setup --cassandra, or set" \
        "TILL_CASSANDRA_JAVA_HOME"
}

# Comes in whole or not at all. Other versions of the script may use the same cache.
fetch() {
    local tool_cache
    find_java
    mkdir -p "$cache"
    exec 8>"$cache/lock"
    flock 8
    if [[ ! -d $cache/lib ]]; then
        command -v mvn >/dev/null ||
            fail "there is no Maven to fetch Cassandra with. Get it by scripts/setup --cassandra"
        echo "cassandra: fetching Cassandra $version" >&2
        rm -rf "$cache/lib.part"
        JAVA_HOME=$java_home mvn -q -B -Dstyle.color=never -f "$parts/pom.xml" \
            -Dtarget.folder="$cache/lib.part" dependency:copy-dependencies >"$cache/fetch.log" 2>&1 || {
            tail -n 15 "$cache/fetch.log" >&2
            fail "Maven could not fetch Cassandra $version"
        }
        mv "$cache/lib.part" "$cache/lib"
    fi
    tool_cache=$cache/tool-$(cksum <"$parts/CqlTool.java" | tr ' ' -)
    if [[ ! -d $tool_cache ]]; then
        rm -rf "$tool_cache.part"
        "$(tool javac)" -cp "$cache/lib/*" -d "$tool_cache.part" "$parts/CqlTool.java"
        mv "$tool_cache.part" "$tool_cache"
    fi
    exec 8>&-
    client_path="$tool_cache:$cache/lib/*"
}

issue_certificate() { # CA NAME: NAME.key and NAME.pem, for every address that a node may have
    openssl req -newkey rsa:2048 -nodes -subj "/CN=$2" -keyout "$2.key" -out request.pem
    openssl x509 -req -in request.pem -CA "$1.pem" -CAkey "$1.key" -days 3650 -out "$2.pem" -extfile \
        <(echo subjectAltName=DNS:localhost,IP:127.0.0.1,IP:127.0.0.2,IP:127.0.0.3)
    rm request.pem
}

make_keys() (
    [[ ! -d $dir/tls ]] || exit 0
    command -v openssl >/dev/null || fail "there is no openssl to make keys with"
    umask 077
    rm -rf "$dir/tls.part"
    mkdir "$dir/tls.part"
    cd "$dir/tls.part"
    {
        for authority in ca stranger-ca; do
            openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -subj "/CN=$authority" -keyout $authority.key \
                -out $authority.pem
        done
        issue_certificate ca server
        issue_certificate ca client
        issue_certificate stranger-ca stranger
        cat server.key server.pem >node.pem
        openssl pkcs12 -export -in client.pem -inkey client.key -passout pass:cassandra -out client.p12
    } >log 2>&1 || fail "openssl makes no keys, see $dir/tls.part/log"
    mv "$dir/tls.part" "$dir/tls"
)

# --- a node -------------------------------------------------------------------------------------------------

node_yaml() {
    cat <<EOT
cluster_name: till-tests
partitioner: org.apache.cassandra.dht.Murmur3Partitioner
endpoint_snitch: SimpleSnitch
listen_address: $(host "$1")
rpc_address: $(host "$1")
native_transport_port: $port
storage_port: $((port + 1))
num_tokens: 1
initial_token: "${first_tokens[$1]}"
auto_bootstrap: false
auto_snapshot: false
seed_provider:
  - class_name: org.apache.cassandra.locator.SimpleSeedProvider
    parameters: [{seeds: "$(addresses '')"}]
commitlog_sync: $commitlog
EOT
    if [[ $commitlog == periodic ]]; then
        echo "commitlog_sync_period: 10000ms"
    fi
    if [[ -n $auth ]]; then
        printf '%s\n' 'authenticator: PasswordAuthenticator' 'authorizer: CassandraAuthorizer' \
            'credentials_validity: 0ms' 'permissions_validity: 0ms' 'roles_validity: 0ms'
    fi
    if [[ $tls != none ]]; then
        cat <<EOT
client_encryption_options:
  enabled: true
  optional: false
  require_client_auth: $([[ $tls == mutual ]] && echo true || echo false)
  ssl_context_factory:
    class_name: org.apache.cassandra.security.PEMBasedSslContextFactory
  keystore: "$dir/tls/node.pem"
  truststore: "$dir/tls/ca.pem"
EOT
    fi
    printf '%s' "$yaml"
}

# Until then the process is a copy of this script, which pid_of does not take for a node.
is_recognizable() { pid_of "$1" >/dev/null || has_ended "$2"; } # NODE PID

# The disk is not waited for: what a kill loses is under test, not what a power cut does.
launch_node() {
    local home=$dir/node$1 jamm extra
    mkdir -p "$home/tmp"
    node_yaml "$1" >"$home/cassandra.yaml"
    jamm=$(compgen -G "$cache/lib/jamm-*.jar")
    mapfile -t extra < <(printf '%s' "$java")
    local options=("@$parts/java17.options" -javaagent:"$jamm"
        -Xms96m -Xmx"$heap" -XX:+UseSerialGC -XX:TieredStopAtLevel=1
        -XX:+ExitOnOutOfMemoryError -XX:-UsePerfData -XX:ErrorFile="$home/java_error.log"
        -Djava.io.tmpdir="$home/tmp" -Djna.tmpdir="$home/tmp" -Djava.net.preferIPv4Stack=true
        -Dio.netty.tryReflectionSetAccessible=true
        -Dlogback.configurationFile="$parts/logback.xml"
        -Dcassandra-foreground=yes
        -Dcassandra.config="file:$home/cassandra.yaml"
        -Dcassandra.storagedir="$home"
        -Dcassandra.logdir="$home"
        -Dcassandra.triggers_dir="$home/triggers"
        -Dcassandra.skip_sync=true
        -Dcassandra.skip_wait_for_gossip_to_settle=0
        -Dcassandra.ring_delay_ms=1000
        -Dcassandra.shutdown_announce_in_ms=0
        -Dcassandra.consistent.rangemovement=false
        -Dcassandra.superuser_setup_delay_ms=0
        -Dcassandra.system_auth.default_rf="$nodes"
        "${extra[@]}")
    (
        cd "$home"
        detach "$(tool java)" "${options[@]}" -cp "$cache/lib/*" \
            org.apache.cassandra.service.CassandraDaemon </dev/null >>"$home/log" 2>&1
    ) &
    echo $! >"$home/pid"
    disown
    await 10 is_recognizable "$1" $! || fail "node $1 does not begin"
}
