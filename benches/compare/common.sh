# shellcheck shell=bash disable=SC2034,SC2154  # sourced by the scripts in this folder, which set usage and use what is set here
#
# What the comparisons have in common: arguments, a folder that is gone at the end, a fixture that is, too, and the timer. What is
# compared and what is said about it is in the scripts.

program=benches/compare/${0##*/}

# How long the fixture may take to start, and a traced command to end, in seconds.
readonly most_start=120 most_trace=180

die() {
	printf '%s: %s\n' "$program" "$*" >&2
	exit 1
}

say() {
	printf '%s\n' "$*" >&2
}

# ---------------------------------------------------------------------------------------------------------------------- arguments

benches=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
nsx=${benches%/*}/target/release/nsx
quick='' out='' given=''

# Sets quick, out, nsx and given.
arguments() {
	while (($#)); do
		case $1 in
		--quick) quick=yes ;;
		--out | --nsx)
			(($# > 1)) || die "$1 wants a value"
			if [[ $1 == --out ]]; then out=$2; else nsx=$2 given=yes; fi
			shift
			;;
		-h | --help)
			printf '%s\n' "$usage"
			exit 0
			;;
		*)
			printf '%s\n' "$usage" >&2
			exit 2
			;;
		esac
		shift
	done
}

# needs WHY TOOL...: looks for the tools, for nsx and for root, and makes the folder for the report.
needs() {
	local why=$1 tool
	shift
	for tool; do
		command -v "$tool" >/dev/null || die "$tool is missing; install what benchmarks and tests need: scripts/setup"
	done
	if [[ ! -f $nsx || ! -x $nsx ]]; then
		[[ $given ]] && die "there is no program at $nsx"
		die 'target/release/nsx is missing; build it: cargo build --release'
	fi
	((EUID == 0)) || die "this needs root, $why: sudo $program"
	[[ -z $out ]] || mkdir -p -- "$out"
}

# ---------------------------------------------------------------------------------------------------------------- work and cleanup

work=''
fixture_pid=''

# Ends the fixture: it exits when its standard input closes, and only when the last of its processes is gone.
end_fixture() {
	[[ $fixture_pid ]] || return 0
	exec 7>&- 8<&-
	wait "$fixture_pid" || true
	fixture_pid=''
}

cleanup() {
	trap '' INT TERM HUP
	end_fixture
	rm -rf -- "$work"
}

# Makes the folder that everything is in, and sees to it that nothing is left at the end.
begin_work() {
	work=$(mktemp -d)
	trap cleanup EXIT
	trap 'exit 129' HUP
	trap 'exit 130' INT
	trap 'exit 143' TERM

	mkdir "$work/bin" "$work/raw" "$work/rounds"
	# Everything that is measured is found under its own name in one folder: the data name no path of this machine, and a rebuild
	# of nsx meanwhile changes nothing.
	cp -- "$nsx" "$work/bin/nsx"
	PATH=$work/bin:$PATH
}

# begin_fixture COMMAND...: starts it and returns when it has said something, which is then in said.
begin_fixture() {
	said=''
	rm -f -- "$work/in" "$work/out"
	mkfifo "$work/in" "$work/out"
	"$@" <"$work/in" >"$work/out" &
	fixture_pid=$!
	exec 7>"$work/in" 8<"$work/out"
	read -r -t "$most_start" said <&8 || true
	exec 8<&-
}

# Runs a command without the descriptor that keeps the fixture alive.
outside() {
	"$@" 7>&-
}

# ---------------------------------------------------------------------------------------------------------------------- measuring

unset OMP_NUM_THREADS OMP_THREAD_LIMIT # nproc would take them for the number of processors
processors=$(nproc)
cpu=$(sed -n '/^model name/ { s/^[^:]*: //p; q }' /proc/cpuinfo)

# The load of the last minute: how much else the processors had to do before this scenario, and in it.
load() {
	cut -d ' ' -f 1 /proc/loadavg
}

# hyper FILE NAME COMMAND RUNS WARMUP [OPTION...]
hyper() {
	outside hyperfine -N --style none --runs "$4" --warmup "$5" "${@:6}" --export-json "$1" \
		--command-name "$2" "$3" >"$work/log" 2>&1 || {
		cat -- "$work/log" >&2
		die "hyperfine failed: $3"
	}
}

# trace FILE COMMAND: counts the system calls of a command.
trace() {
	local file=$1
	local -a command
	read -r -a command <<<"$2"
	# Only strace's own end by the clock makes the count worthless; lsns may fail and has still been counted.
	local code=0
	outside timeout --foreground "$most_trace" strace -f -c -S calls -o "$file" "${command[@]}" >/dev/null 2>&1 || code=$?
	if ((code == 124)); then
		rm -f -- "$file"
		say "  strace of $2 took more than $most_trace s and was skipped"
	fi
}

# total FILE: the number of calls in a table of strace's, or null.
total() {
	if [[ -s $1 ]]; then awk '$NF == "total" { print $4 }' "$1"; else echo null; fi
}

# Says whether version $1 is at least $2.
at_least() {
	[[ $(printf '%s\n' "$2" "$1" | sort -V | head -n 1) == "$2" ]]
}

# For jq: `medians` makes an object, with the name of each command as key, of a list of results of hyperfine.
# shellcheck disable=SC2016 # the variables are jq's
readonly jq_medians='
	def median: sort | length as $n
		| if $n == 0 then null elif $n % 2 == 1 then .[($n - 1) / 2] else (.[$n / 2 - 1] + .[$n / 2]) / 2 end;
	def medians: group_by(.command) | map({
		key: .[0].command,
		value: {
			seconds: [.[] | [.times, .exit_codes] | transpose[] | select(.[1] == 0) | .[0]],
			failed: ([.[].exit_codes[] | select(. != 0)] | length)
		} | {
			median_seconds: (.seconds | median), min_seconds: (.seconds | min), max_seconds: (.seconds | max),
			runs: (.seconds | length), failed
		}
	}) | from_entries;'
