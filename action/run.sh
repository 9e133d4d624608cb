#!/usr/bin/env bash
# What the GitHub action does once `plummet` is there; also by hand, in any folder:
#   PLUMMET_MANIFEST=gate.toml action/run.sh python adapter.py
# Judges the target, annotates the lines of a failing adapter, puts the report into the summary of the job, keeps
# the JSON, and compares it with an earlier one where there is one.
set -uo pipefail
out=${PLUMMET_OUT:-plummet-report}
mkdir -p "$out"
rm -f "$out/report.json" "$out/report.md" "$out/report.xml" "$out/badge.svg"
arguments=(--json "$out/report.json" --markdown "$out/report.md" --junit "$out/report.xml" --annotations github)
if [ -n "${PLUMMET_MANIFEST:-}" ]; then arguments+=(--manifest "$PLUMMET_MANIFEST"); fi
if [ -n "${PLUMMET_OPS:-}" ]; then arguments+=(--ops "$PLUMMET_OPS"); fi
if [ -n "${PLUMMET_TIME:-}" ]; then arguments+=(--time "$PLUMMET_TIME"); fi
plummet gate check "${arguments[@]}" -- "$@"
code=$?
if [ -f "$out/report.md" ] && [ -n "${GITHUB_STEP_SUMMARY:-}" ]; then cat "$out/report.md" >>"$GITHUB_STEP_SUMMARY"; fi
if [ -f "$out/report.json" ]; then
  plummet gate badge "$out/report.json" >"$out/badge.svg"
  if [ -n "${PLUMMET_BASE:-}" ]; then
    plummet gate diff "$PLUMMET_BASE" "$out/report.json"
    # 3 is accuracy that fell, 2 that nothing could be compared: neither is green.
    fell=$?
    if [ "$code" = 0 ]; then code=$fell; fi
  fi
fi
exit "$code"
