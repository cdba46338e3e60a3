#!/usr/bin/env bash
# A toolkit of CUDA 13.0 for building with `--features cuda` or `cudnn`, put together from NVIDIA's public wheels; no card, no
# driver, no root.
#
#     eval "$(benches/cuda-toolkit.sh DIR)"
#
# About a gigabyte into DIR; what to export goes to stdout, the rest to stderr. `PYTHON`, `CC` and `CUDA_COMPUTE_CAP` are heeded.
set -euo pipefail
[ $# -eq 1 ] || { echo "usage: $0 DIR" >&2; exit 2; }
mkdir -p "$1"
folder=$(cd "$1" && pwd)
toolkit=$folder/nvidia/cu13

# No newer: a driver of CUDA 13.0 refuses what nvcc 13.1 writes.
wheels="nvidia-cuda-nvcc==13.0.88 nvidia-nvvm==13.0.88 nvidia-cuda-crt==13.0.88 nvidia-cuda-runtime==13.0.96
nvidia-cuda-cccl==13.0.85 nvidia-cublas==13.1.0.3 nvidia-curand==10.4.0.35 nvidia-cuda-nvrtc==13.0.88
nvidia-cudnn-cu13==9.19.0.56"

if [ "$(cat "$folder/installed" 2>/dev/null)" != "$wheels" ]; then
    # shellcheck disable=SC2086
    "${PYTHON:-python3}" -m pip install --quiet --no-deps --no-compile --only-binary=:all: --upgrade \
        --disable-pip-version-check --target "$folder" $wheels >&2
    echo "$wheels" >"$folder/installed"
fi
# Wheels keep no permissions, and have libraries under their versions alone.
chmod +x "$toolkit"/bin/* "$toolkit"/nvvm/bin/*
[ -e "$toolkit/lib64" ] || ln -s lib "$toolkit/lib64"
for library in cudart.so.13 cublas.so.13 cublasLt.so.13 curand.so.10 nvrtc.so.13; do
    ln -sfn "lib$library" "$toolkit/lib/lib${library%.so.*}.so"
done
for part in lib include; do
    for file in "$folder/nvidia/cudnn/$part"/*; do
        ln -sfn "$file" "$toolkit/$part/$(basename "$file")"
    done
done
ln -sfn libcudnn.so.9 "$toolkit/lib/libcudnn.so"

# The driver's library is in no wheel: the linker is shown an empty one that names what cudarc binds.
bindings=$(ls -d "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*/cudarc-*/src/driver/sys/mod.rs 2>/dev/null | sort -V | tail -1) || true
[ -n "$bindings" ] || { echo "cudarc's sources are not here; run \`cargo fetch\` first" >&2; exit 1; }
mkdir -p "$toolkit/lib/stubs"
grep -oE '\bfn cu[A-Za-z0-9_]+' "$bindings" | sort -u | sed 's/fn \(.*\)/int \1(void) { return 999; }/' >"$folder/driver.c"
"${CC:-cc}" -w -shared -fPIC -fno-builtin -Wl,-soname,libcuda.so.1 -o "$toolkit/lib/stubs/libcuda.so" "$folder/driver.c"

cat <<END
export CUDA_HOME=$toolkit CUDA_PATH=$toolkit CUDA_ROOT=$toolkit CUDA_TOOLKIT_ROOT_DIR=$toolkit
export NVCC=$toolkit/bin/nvcc PATH=$toolkit/bin:\$PATH CUDA_COMPUTE_CAP=${CUDA_COMPUTE_CAP:-90}
END
