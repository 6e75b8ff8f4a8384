#!/usr/bin/env bash
# several_hosts.sh WHIT [HOSTS]: jobs of whit over hosts that are network namespaces of this one,
# each with its own address and host name, joined by a bridge; what they write is compared with what
# one process writes. Needs root, iproute2, util-linux and Open MPI. Work lies in a temporary folder.
set -euo pipefail
whit=$(realpath "$1")
hosts=${2-2}
cd "$(dirname "$0")/.."
root=$PWD
work=$(mktemp -d)
bridge=whitbr$$
net=10.99.$((RANDOM % 250)).

clean() {
  for i in $(seq "$hosts"); do ip netns del "whit$$-$i" 2>/dev/null || true; done
  ip link del "$bridge" 2>/dev/null || true
  rm -rf "$work"
}
trap clean EXIT

ip link add "$bridge" type bridge
ip addr add "${net}254/24" dev "$bridge"
ip link set "$bridge" up
for i in $(seq "$hosts"); do
  ip netns add "whit$$-$i"
  ip link add "v$$-$i" type veth peer name eth0 netns "whit$$-$i"
  ip link set "v$$-$i" master "$bridge" up
  ip -n "whit$$-$i" addr add "$net$i/24" dev eth0
  ip -n "whit$$-$i" link set eth0 up
  ip -n "whit$$-$i" link set lo up
  echo "$net$i slots=2" >>"$work/hosts"
done

# What ssh would do: a command, by its words, on the host of an address.
cat >"$work/agent" <<AGENT
#!/bin/sh
host=whit$$-\${1#$net}
shift
exec ip netns exec "\$host" unshare --uts sh -c "hostname \$host; exec sh -c \"\\\$0\"" "\$*"
AGENT
chmod +x "$work/agent"

export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_mpi_yield_when_idle=1
spread() {
  mpirun --hostfile "$work/hosts" --mca plm_rsh_agent "$work/agent" --mca btl tcp,self \
    --mca btl_tcp_if_include "${net}0/24" --mca oob_tcp_if_include "${net}0/24" \
    --mca rmaps_base_oversubscribe 1 -n $((2 * hosts)) "$@"
}

echo "hosts: $(spread hostname | sort | uniq -c | tr '\n' ' ')"
cd "$work"
data=$root/demo/text/calibration.jsonl
job=(quantize "$root/demo/moe-15m" checkpoint --method gptq --calibration "$data" --quiet
  --num-calibration-samples 22 --max-sequence-length 256 --threads 1)
calibrate=(calibrate -m "$root/demo/moe-15m" -d "$data" -o calibrated -l 12 -t 2 -u --threads 1 --quiet)
# Both write the same folders, for configs hold their paths.
"$whit" "${job[@]}" >/dev/null
"$whit" "${calibrate[@]}" >/dev/null
find checkpoint calibrated -type f -print0 | sort -z | xargs -0 sha256sum >sums
rm -rf checkpoint calibrated
spread "$whit" "${job[@]}" >/dev/null
spread "$whit" "${calibrate[@]}" >/dev/null
sha256sum --check --quiet sums
sent=$(cat "/sys/class/net/v$$-1/statistics/rx_bytes")
echo "$((2 * hosts)) ranks on $hosts hosts wrote the bytes of one process: $(wc -l <sums) files;" \
  "the first host sent $((sent / 1000000)) MB"
