# shellcheck shell=sh
# Gives bash, and any POSIX shell, the function distcc_build: `distcc_build make` runs `distcc-auto make`.
# Source this file from ~/.bashrc, or let `distcc-auto shell-init bash` print it.

# The body is a subshell: nothing it sets reaches the shell that calls it.
distcc_build() (
    program=distcc-auto
    if ! command -v "$program" >/dev/null; then
        echo "distcc_build: $program is not found; install it, or add its directory to PATH" >&2
        exit 96
    fi
    # What is set without `export` counts, too; a name that is not set stays so.
    export DISTCC_AUTO_HOSTS DISTCC_AUTO_COMPILER_MEMORY DISTCC_AUTO_EARLY_LOCAL_JOBS \
        DISTCC_AUTO_FALLBACK_LOCAL_JOBS DISTCC_AUTO_PREPROCESSOR_SATURATION_JOBS \
        DISTCC_AUTO_CONNECT_TIMEOUT DISTCC_AUTO_ANSWER_TIMEOUT DISTCC_AUTO_TUNNEL_TIMEOUT DCCSH_DEBUG
    exec "$program" "$@"
)
