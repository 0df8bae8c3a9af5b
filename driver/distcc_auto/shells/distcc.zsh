# Gives zsh the function distcc_build: `distcc_build make` runs `distcc-auto make`.
# Source this file from ~/.zshrc, or let `distcc-auto shell-init zsh` print it.

# The body is a subshell: nothing it sets reaches the shell that calls it.
distcc_build() (
    emulate -L zsh
    program=distcc-auto
    if ! whence -p "$program" >/dev/null; then
        echo "distcc_build: $program is not found; install it, or add its directory to PATH" >&2
        exit 96
    fi
    # What is set without `export` counts, too.
    for name in ${(Mk)parameters:#(DISTCC_AUTO|DCCSH)_*}; do
        typeset -gx "$name"
    done
    exec "$program" "$@"
)
