#!/usr/bin/env bash
# Scores ICU stays of the PhysioNet/CinC Challenge 2012 with NEWS2.
#
# Usage: run.sh OUT [DATA] [PATIENTS]
#   OUT       folder for warehouse.db, the FHIR store and the broker's data
#   DATA      folder with set-a.tar.gz (default ../shared/data/physionet2012)
#   PATIENTS  list of record ids (default DATA/news2_complete_patients.txt)
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=../run.sh
source "$here/../run.sh"

[ $# -ge 1 ] || { sed -n 's/^# \{0,1\}//p' "$0" | sed -n '2,7p' >&2; exit 2; }
data=${2:-$here/../../../shared/data/physionet2012}
patients=${3:-$data/news2_complete_patients.txt}
for f in "$data/set-a.tar.gz" "$patients"; do
  [ -r "$f" ] || { echo "cannot read $f: give the folder of set-a.tar.gz and a list of record ids" >&2; exit 2; }
done
river "$1" "$here/auscult.yaml" --physionet "$data/set-a.tar.gz" --patients "$patients"
