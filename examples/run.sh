#!/usr/bin/env bash
# What the examples share: builds auscult, starts a broker and a FHIR server on
# free ports, sends recordings, runs all stages until the river has drained, and
# leaves no process behind.
#
# Usage, from an example's run.sh: source ../run.sh; river OUT CONFIG SIMULATE...
set -euo pipefail

examples=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
started=()

# stop ends what was started, in reverse order, and waits for it.
stop() {
  local i
  for ((i = ${#started[@]} - 1; i >= 0; i--)); do
    kill -TERM "${started[i]}" 2>/dev/null || true
    wait "${started[i]}" 2>/dev/null || true
  done
  started=()
}

# serve NAME COMMAND...: starts a server and waits until it says where it
# listens; the address is left in $address.
serve() {
  local log=$out/$1.log
  shift
  : >"$log" # it is read before the server has had time to make it
  "$@" >>"$log" 2>&1 &
  started+=($!)
  local i
  for ((i = 0; i < 300; i++)); do
    address=$(sed -n 's/^listening on //p' "$log" | head -n 1)
    if [ -n "$address" ]; then return; fi
    if ! kill -0 "${started[-1]}" 2>/dev/null; then break; fi
    sleep 0.1
  done
  echo "$* did not start; it said:" >&2
  cat "$log" >&2
  return 1
}

# river OUT CONFIG SIMULATE...: the whole run.
river() {
  out=$1
  local config=$2
  shift 2
  mkdir -p "$out"
  out=$(cd "$out" && pwd)
  trap stop EXIT
  trap 'exit 130' INT TERM
  (cd "$examples/.." && go build -o "$out/auscult" ./cmd/auscult)

  serve broker "$out/auscult" broker --data "$out" --listen 127.0.0.1:0
  export AUSCULT_RIVER_BROKERS="[$address]"
  serve fhir-server "$out/auscult" fhir-server --data "$out" --listen 127.0.0.1:0
  export AUSCULT_FHIR_BASEURL="$address"
  export AUSCULT_WAREHOUSE_PATH="$out/warehouse.db" AUSCULT_LAKE_FOLDER="$out/raw"

  "$out/auscult" simulate --config "$config" "$@"
  "$out/auscult" run --config "$config" --until-drained
}
