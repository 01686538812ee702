#!/bin/sh
# Apache Kafka's kafka-producer-perf-test from its published jars, under the name of a program: for the preset of that name.
exec "$(dirname "$0")/kafka.sh" tool producer-perf-test "$@"
