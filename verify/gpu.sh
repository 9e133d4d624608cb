#!/usr/bin/env bash
# Everything that needs an NVIDIA GPU, in under ten minutes, and a table of what passed at the end.
#
#     verify/gpu.sh [FOLDER]
#
# FOLDER holds what was built, on this machine or another:
#     plummet   cargo build --release --features cuda
#     kernels   cargo test --release --features cuda --test kernels --no-run   (the executable it names)
#     peer      cargo bench --features cuda --bench peer --no-run              (likewise)
# It is target/gpu by default. Logs and figures go to FOLDER/results. What is not there (an executable,
# compute-sanitizer, PyTorch) is left out, and the table says so. Exit code 0 where nothing failed, 1
# where something did, 2 where there is no GPU to speak of.

set -u
cd "$(dirname "$0")/.."
folder=${1:-target/gpu}
plummet=$folder/plummet
results=$folder/results

refuse() {
    echo "error: $1" >&2
    exit 2
}

[ -x "$plummet" ] || refuse "folder = $folder: allowed is one that holds plummet, built with --features cuda"
scratch=$(mktemp -d) || refuse "no folder for what is trained"
trap 'rm -rf "$scratch"' EXIT

tiny="--width 16 --depth 2 --heads 2 --seq 8 --batch 2 --steps 6 --warmup 2"
# A run on the GPU, as JSON; a store of its own unless one is named behind it.
train() {
    "$plummet" train --device cuda --store "$scratch/$1.sqlite" --json "${@:2}"
}
why=$(train first $tiny 2>&1 >/dev/null) || refuse "${why#error: }"

mkdir -p "$results"
# Seconds for all of it.
ALL=570
table=()
failed=0

# item NAME SECONDS COMMAND…: runs it for so long at most, and while there is time at all, and notes how
# it ended. The last line of its output goes into the table.
item() {
    local name=$1 limit=$2 log=$results/${1//[ ,\']/-}.log begun=$SECONDS left=$((ALL - SECONDS)) how
    shift 2
    limit=$((left < limit ? left : limit))
    if [ $limit -lt 5 ]; then
        table+=("$(printf '%-44s %s' "$name" "left out, no time")")
        return
    fi
    timeout "$limit" "$@" >"$log" 2>&1
    case $? in
    0) how=pass ;;
    3) how="left out" ;;
    124) how="FAIL (not done in $limit s)" failed=1 ;;
    *) how=FAIL failed=1 ;;
    esac
    table+=("$(printf '%-44s %-12s %4d s  %s' "$name" "$how" $((SECONDS - begun)) "$(tail -n 1 "$log" | cut -c1-120)")")
    echo "${table[-1]}"
}

kernels() {
    [ -x "$folder/kernels" ] || { echo "no executable of the tests"; return 3; }
    "$folder/kernels" --ignored gpu
}

# The last loss of twenty steps, on the GPU and on the CPU: within what rounding makes of it.
like_the_cpu() {
    local wiring
    for wiring in pre_ln post_ln deepnorm; do
        local run="--width 64 --depth 8 --seq 32 --batch 8 --steps 20 --wiring $wiring"
        train gpu $run >"$scratch/gpu.json" || return 1
        "$plummet" train --device cpu --store "$scratch/cpu.sqlite" --json $run >"$scratch/cpu.json" || return 1
        python3 - "$scratch" $wiring <<'PYTHON' || return 1
import json, sys
folder, wiring = sys.argv[1:]
gpu, cpu = (json.load(open(f"{folder}/{name}.json"))["loss"] for name in ("gpu", "cpu"))
print(f"{wiring}: {gpu} and on the CPU {cpu}")
sys.exit(not abs(gpu - cpu) <= 1e-3 * cpu)
PYTHON
    done
}

# Every row of two runs; the second one's steps are each asked for by a probe, not replayed.
same_bits() {
    local run="--width 128 --depth 16 --steps 30 --dropout 0.1 --weight-decay 0.1" id
    for name in replayed again; do
        id=$(train $name $run | python3 -c 'import json, sys; print(json.load(sys.stdin)["run"])') || return 1
        "$plummet" show "$id" --json --store "$scratch/$name.sqlite" >"$scratch/$name.json" || return 1
    done
    id=$(train asked $run --probe-every 1 | python3 -c 'import json, sys; print(json.load(sys.stdin)["run"])') || return 1
    "$plummet" show "$id" --json --store "$scratch/asked.sqlite" >"$scratch/asked.json" || return 1
    python3 - "$scratch" <<'PYTHON'
import json, sys
rows = [json.load(open(f"{sys.argv[1]}/{name}.json"))["rows"] for name in ("replayed", "again", "asked")]
print(f"{len(rows[0])} steps, again {rows[0] == rows[1]}, call by call {rows[0] == rows[2]}")
sys.exit(not (rows[0] and rows[0] == rows[1] == rows[2]))
PYTHON
}

# A tool of compute-sanitizer over whole training steps. Not every virtual machine lets it in.
sanitized() {
    command -v compute-sanitizer || { echo "compute-sanitizer is not here"; return 3; }
    compute-sanitizer --tool "$1" --error-exitcode 9 "$plummet" train --device cuda $tiny \
        --store "$scratch/$1.sqlite" --norm "$2" >"$scratch/$1.log" 2>&1
    local code=$?
    if grep -q "Device not supported" "$scratch/$1.log"; then
        echo "compute-sanitizer: $(grep -m 1 "Device not supported" "$scratch/$1.log")"
        return 3
    fi
    tail -n 30 "$scratch/$1.log"
    grep "ERROR SUMMARY" "$scratch/$1.log"
    return $code
}

# Norms against a copy of as many bytes: four fifths of it, where rows fill the GPU.
copy_share() {
    "$plummet" bench --device cuda --sizes ACEF --json --out "$results" >"$results/bench.json" || return 1
    python3 - "$results/bench.json" <<'PYTHON'
import json, sys
found = json.load(open(sys.argv[1]))
copy = found["copy_bytes_per_second"][0]["one"] / 1e9
print(f"{found['device']}: copy {copy:.0f} GB/s")
for step in found["steps"]:
    print(f"step {step['size']}: {1e3 * step['one_thread_seconds']:.2f} ms")
slow = []
for row in found["operators_share_of_copy"]:
    said = f"{row['name']} {row['rows']}×{row['cols']}: {row['forward']:.0%}, with backward {row['both']:.0%}"
    print(said)
    row_wise = row["name"] in ("layer_norm", "rms_norm", "bare_rms_norm", "scale_norm", "dynamic_tanh", "derf")
    if row_wise and row["rows"] > 4096 and min(row["forward"], row["both"]) < 0.8:
        slow.append(said)
print(f"copy {copy:.0f} GB/s; below 80 %: " + ("; ".join(slow) or "none"))
sys.exit(bool(slow))
PYTHON
}

peers() {
    [ -x "$folder/peer" ] || { echo "no worker of the peers"; return 3; }
    python3 -c "import torch" || { echo "PyTorch is not here"; return 3; }
    python3 benches/peers/gpu.py --peer "$folder/peer" --quick --rounds 5 --calls 10 --out "$results/peers.json" 2>&1
}

deep() {
    train deep --depth 1000 --width 64 --heads 4 --seq 64 --batch 16 --steps 1000 --wiring "$1" \
        --probe-every 0 --snapshot-seconds 100000 >"$scratch/deep.json" || return 1
    python3 - "$scratch/deep.json" <<'PYTHON'
import json, sys
run = json.load(open(sys.argv[1]))
print(f"{run['outcome']} after {run['steps']} steps: loss {run['initial_loss']:.3f} to {run['loss']:.3f}, {run['seconds']:.0f} s")
sys.exit(run["outcome"] not in ("ok", "spike") or run["steps"] != 1000)
PYTHON
}

export -f train kernels like_the_cpu same_bits sanitized copy_share peers deep
export folder plummet results scratch tiny

item "kernels within their budgets" 120 bash -c kernels
item "twenty steps like the CPU's" 60 bash -c like_the_cpu
item "same bits again, replayed or not" 60 bash -c same_bits
for tool in memcheck racecheck initcheck synccheck; do
    item "$tool, training steps" 60 bash -c "sanitized $tool layer_norm"
done
item "norms near the speed of a copy" 90 bash -c copy_share
item "a thousand blocks, 1000 steps, deepnorm" 120 bash -c "deep deepnorm"
item "a thousand blocks, 1000 steps, pre_ln" 120 bash -c "deep pre_ln"
item "beside the peers" 200 bash -c peers

echo
printf '%s\n' "${table[@]}"
exit $failed
