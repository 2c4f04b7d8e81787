#!/usr/bin/env bash
# Sends the 1 Hz numerics of the BIDMC recordings: each sample one Observation.
#
# Usage: run.sh OUT [DATA]
#   OUT   folder for warehouse.db, the FHIR store and the broker's data
#   DATA  folder with bidmc_NN_Numerics.csv (default ../shared/data/bidmc)
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=../run.sh
source "$here/../run.sh"

[ $# -ge 1 ] || { sed -n 's/^# \{0,1\}//p' "$0" | sed -n '2,6p' >&2; exit 2; }
data=${2:-$here/../../../shared/data/bidmc}
[ -r "$data/bidmc_01_Numerics.csv" ] || { echo "cannot read $data/bidmc_01_Numerics.csv: give the folder of the recordings" >&2; exit 2; }
river "$1" "$here/auscult.yaml" --bidmc "$data"
