# Gives fish the function distcc_build: `distcc_build make` runs `distcc-auto make`.
# Source this file from ~/.config/fish/config.fish, or let `distcc-auto shell-init fish` print it.

# Without shadowing it sees the local variables of its caller; its own end with the block.
function distcc_build --no-scope-shadowing --description 'Run a build command across distcc workers'
    begin
        set -l program distcc-auto
        if not command -q $program
            echo "distcc_build: $program is not found; install it, or add its directory to PATH" >&2
            return 96
        end
        # What is set without being exported counts, too.
        set -l settings
        for name in (set --names | string match --regex '^(?:DISTCC_AUTO|DCCSH)_.*')
            set -a settings $name="$$name"
        end
        env $settings $program $argv
    end
end
