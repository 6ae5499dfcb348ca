#!/usr/bin/env bash
# check-symbols.sh LIBRARY: only the C interface is exported, nothing of LLVM is inside, and it is small.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
set -euo pipefail
library=$1
defined=$(nm -D --defined-only "$library" | awk '{print $NF}')
others=$(grep -v '^permalloy_' <<<"$defined" || true)
[ -z "$others" ] || { echo "exported besides permalloy_*: $others"; exit 1; }
grep -q '^permalloy_session_run$' <<<"$defined" || { echo "permalloy_session_run is not exported"; exit 1; }
if nm -D "$library" | grep -E '_ZN(K?)(4llvm|4mlir|6google)' || ldd "$library" | grep -E 'LLVM|MLIR|protobuf'; then
  echo "the runtime uses LLVM, MLIR or protobuf"; exit 1
fi
copy=$(mktemp); trap 'rm -f "$copy"' EXIT
strip -o "$copy" "$library"
size=$(stat -c %s "$copy")
[ "$size" -lt $((3 << 20)) ] || { echo "stripped size is $size bytes, at most 3 MiB are accepted"; exit 1; }
echo "$(wc -l <<<"$defined") functions exported, $size bytes stripped"
