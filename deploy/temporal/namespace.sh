#!/bin/sh
# Create the namespace and the search attributes Holdfast writes. Safe to run again.
set -eu

# Try again for a minute: a server takes its time to start, and then to learn of a new namespace.
patiently() {
  attempts=60
  until "$@"; do
    attempts=$((attempts - 1))
    [ "$attempts" -gt 0 ] || { echo "Gave up on: $*" >&2; exit 1; }
    sleep 1
  done
}

list() {
  existing=$(temporal operator search-attribute list --namespace "$TEMPORAL_NAMESPACE")
}

patiently temporal operator cluster health

# Histories are kept for 14 days after a run; HOLDFAST_RETENTION__PAYLOADS_DAYS has to be longer.
temporal operator namespace describe --namespace "$TEMPORAL_NAMESPACE" >/dev/null 2>&1 ||
  temporal operator namespace create --namespace "$TEMPORAL_NAMESPACE" --retention 14d

patiently list
while read -r name type; do
  case $existing in
    *"$name"*) ;;
    *) temporal operator search-attribute create --namespace "$TEMPORAL_NAMESPACE" --name "$name" --type "$type" ;;
  esac
done <<END
HoldfastTenant Keyword
HoldfastAgent Keyword
HoldfastEnvironment Keyword
HoldfastStatus Keyword
HoldfastSpend Double
END
