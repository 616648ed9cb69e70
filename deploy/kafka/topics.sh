#!/bin/sh
# Topics of a sidecar and the rights of its user, by Kafka's own commands. What is there already
# stays as it is.
#
#     BOOTSTRAP=kafka-1.example:9094 CLIENT=admin.properties NAME=credit ./topics.sh
#
# BOOTSTRAP   a broker
# CLIENT      file with the security of whoever may create topics and rights
# NAME        what topics and group begin with: `name` of the config
# PRINCIPAL   who the sidecar is to the brokers; User:NAME-sidecar when not given
# PARTITIONS  of all but signals, 12 when not given: as many as replicas you may ever want, for
#             that of state is never changed later
# COPIES      of each topic, 3 when not given; IN_SYNC of them, 2, a write waits for
# EXACTLY_ONCE=yes  also the rights of `delivery.mode: exactly_once`
set -eu
: "${BOOTSTRAP:?}" "${NAME:?}" "${PARTITIONS:=12}" "${COPIES:=3}" "${IN_SYNC:=2}"
: "${PRINCIPAL:=User:$NAME-sidecar}" "${CLIENT:=/dev/null}" "${EXACTLY_ONCE:=no}"

topic() {
    name=$1 partitions=$2
    shift 2
    kafka-topics.sh --bootstrap-server "$BOOTSTRAP" --command-config "$CLIENT" --create \
        --if-not-exists --topic "$name" --partitions "$partitions" \
        --replication-factor "$COPIES" --config "min.insync.replicas=$IN_SYNC" "$@"
}

allow() {
    kafka-acls.sh --bootstrap-server "$BOOTSTRAP" --command-config "$CLIENT" --add \
        --allow-principal "$PRINCIPAL" "$@"
}

topic "$NAME.events" "$PARTITIONS" --config retention.ms=604800000
topic "$NAME.decisions" "$PARTITIONS" --config retention.ms=604800000
topic "$NAME.dead-letters" "$PARTITIONS" --config retention.ms=2592000000 \
    --config max.message.bytes=1114112
topic "$NAME.signals" 1 --config retention.ms=31536000000
topic "$NAME.state" "$PARTITIONS" --config cleanup.policy=compact --config segment.ms=600000

allow --operation Read --topic "$NAME.events" --group "$NAME-sidecar"
allow --operation Write --topic "$NAME.decisions" --topic "$NAME.dead-letters" \
    --topic "$NAME.signals"
allow --operation Read --operation Write --topic "$NAME.state"
# The sidecar can do without; `sidecar check --connect` looks at the topics' settings.
allow --operation DescribeConfigs --topic "$NAME.events" --topic "$NAME.decisions" \
    --topic "$NAME.dead-letters" --topic "$NAME.signals" --topic "$NAME.state"
if [ "$EXACTLY_ONCE" = yes ]; then
    allow --operation Write --transactional-id "$NAME-sidecar.$NAME.events." \
        --resource-pattern-type prefixed
fi
