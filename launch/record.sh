#!/usr/bin/env bash
# A record attempt on one machine with GPUs, from a clone of the course. What has been done is not done again.
#
#   bash launch/record.sh prepare       install, fetch the tokens, and leave
#   bash launch/record.sh [OPTION …]    the same, then check the GPUs, train, judge and pack; options are those of `speedrun train`
#
# RECORD, TRACK, SEEDS, GPUS, SHARDS and OUT may be set. A rehearsal on a laptop, without GPUs:
#   RECORD=sprint TRACK=pocket GPUS=2 bash launch/record.sh --steps 20
set -euo pipefail
trap : TERM   # whoever stops the job stops the training too, which then saves its state; wait for it
cd "$(dirname "${BASH_SOURCE[0]}")/.."
record=${RECORD:-record89} track=${TRACK:-fineweb} seeds=${SEEDS:-100-107} gpus=${GPUS:-8}
out=${OUT:-runs/$record-$track}

if [ -d .venv ]; then source .venv/bin/activate; fi
if ! command -v speedrun >/dev/null; then   # uv brings its own Python, since a machine's may be too old
  export PATH=$HOME/.local/bin:$PATH
  command -v uv >/dev/null || curl -LsSf https://astral.sh/uv/install.sh | sh
  uv venv --python 3.12 .venv
  source .venv/bin/activate
  uv pip install -e . -c constraints.txt
fi
if [ "$track" = fineweb ]; then speedrun data fineweb --shards "${SHARDS:-5}"; fi   # record27 needs 8
if [ "${1:-}" = prepare ]; then exit; fi

mkdir -p "$out"
speedrun doctor --no-time
if [ "$track" = fineweb ] && [ ! -e "$out/gpu/passed" ]; then   # a check that fails ends the job here
  python dev/gpu.py --out "$out/gpu"
  touch "$out/gpu/passed"
fi
torchrun --standalone --nproc_per_node="$gpus" -m speedrun_course.train "$record" --track "$track" \
  --seeds "$seeds" --out "$out" --resume auto "$@"
speedrun claim "$out" | tee "$out/claim.txt" || true   # its status says whether the claim stands
tar -C "$(dirname "$out")" -czf "$out.tar.gz" --exclude='*.safetensors' --exclude=.lock "$(basename "$out")"
echo "to send back: $out.tar.gz"
