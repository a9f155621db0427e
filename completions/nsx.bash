_nsx() {
    local i cur prev opts cmd
    COMPREPLY=()
    if [[ "${BASH_VERSINFO[0]}" -ge 4 ]]; then
        cur="$2"
    else
        cur="${COMP_WORDS[COMP_CWORD]}"
    fi
    prev="$3"
    cmd=""
    opts=""

    for i in "${COMP_WORDS[@]:0:COMP_CWORD}"
    do
        case "${cmd},${i}" in
            ",$1")
                cmd="nsx"
                ;;
            nsx,cg)
                cmd="nsx__subcmd__cg"
                ;;
            nsx,enter)
                cmd="nsx__subcmd__enter"
                ;;
            nsx,inspect)
                cmd="nsx__subcmd__inspect"
                ;;
            nsx,kill)
                cmd="nsx__subcmd__kill"
                ;;
            nsx,ls)
                cmd="nsx__subcmd__ls"
                ;;
            nsx,net)
                cmd="nsx__subcmd__net"
                ;;
            nsx,pid)
                cmd="nsx__subcmd__pid"
                ;;
            nsx,ps)
                cmd="nsx__subcmd__ps"
                ;;
            nsx,run)
                cmd="nsx__subcmd__run"
                ;;
            nsx__subcmd__cg,create)
                cmd="nsx__subcmd__cg__subcmd__create"
                ;;
            nsx__subcmd__cg,freeze)
                cmd="nsx__subcmd__cg__subcmd__freeze"
                ;;
            nsx__subcmd__cg,kill)
                cmd="nsx__subcmd__cg__subcmd__kill"
                ;;
            nsx__subcmd__cg,ls)
                cmd="nsx__subcmd__cg__subcmd__ls"
                ;;
            nsx__subcmd__cg,move)
                cmd="nsx__subcmd__cg__subcmd__move"
                ;;
            nsx__subcmd__cg,path)
                cmd="nsx__subcmd__cg__subcmd__path"
                ;;
            nsx__subcmd__cg,procs)
                cmd="nsx__subcmd__cg__subcmd__procs"
                ;;
            nsx__subcmd__cg,rm)
                cmd="nsx__subcmd__cg__subcmd__rm"
                ;;
            nsx__subcmd__cg,set)
                cmd="nsx__subcmd__cg__subcmd__set"
                ;;
            nsx__subcmd__cg,show)
                cmd="nsx__subcmd__cg__subcmd__show"
                ;;
            nsx__subcmd__cg,thaw)
                cmd="nsx__subcmd__cg__subcmd__thaw"
                ;;
            nsx__subcmd__cg,top)
                cmd="nsx__subcmd__cg__subcmd__top"
                ;;
            nsx__subcmd__cg,why)
                cmd="nsx__subcmd__cg__subcmd__why"
                ;;
            *)
                ;;
        esac
    done

    case "${cmd}" in
        nsx)
            opts="-h -V --color --proc-root --help --version ls ps inspect enter net cg run kill pid"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 1 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                --color)
                    COMPREPLY=($(compgen -W "auto always never" -- "${cur}"))
                    return 0
                    ;;
                --proc-root)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        nsx__subcmd__cg)
            opts="-h -V --color --proc-root --help --version ls show path why top procs set move freeze thaw kill create rm"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 2 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                --color)
                    COMPREPLY=($(compgen -W "auto always never" -- "${cur}"))
                    return 0
                    ;;
                --proc-root)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        nsx__subcmd__cg__subcmd__create)
            opts="-p -c -n -J -h -V --parents --controllers --dry-run --json --color --proc-root --help --version"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 3 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                --controllers)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                -c)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --color)
                    COMPREPLY=($(compgen -W "auto always never" -- "${cur}"))
                    return 0
                    ;;
                --proc-root)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        nsx__subcmd__cg__subcmd__freeze)
            opts="-n -J -h -V --timeout --dry-run --json --force --color --proc-root --help --version"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 3 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                --timeout)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --color)
                    COMPREPLY=($(compgen -W "auto always never" -- "${cur}"))
                    return 0
                    ;;
                --proc-root)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        nsx__subcmd__cg__subcmd__kill)
            opts="-n -J -h -V --timeout --dry-run --json --color --proc-root --help --version"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 3 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                --timeout)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --color)
                    COMPREPLY=($(compgen -W "auto always never" -- "${cur}"))
                    return 0
                    ;;
                --proc-root)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        nsx__subcmd__cg__subcmd__ls)
            opts="-d -f -p -i -o -n -u -J -h -V --depth --flat --procs --over --limits-only --interval --where --sort --output --columns --no-headings --no-truncate --json --color --proc-root --help --version"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 3 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                --depth)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                -d)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --over)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --interval)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                -i)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --where)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --sort)
                    COMPREPLY=($(compgen -W "CGROUP PATH NPROCS MEM MEMMAX MEMHIGH MEMEFF FULL CPU CPUMAX CPUEFF CPUTIME THROTTLED PIDS PIDSMAX PIDSEFF PSI FROZEN CONTAINER INODE DEPTH HIERARCHIES PRESSURE" -- "${cur}"))
                    return 0
                    ;;
                --output)
                    COMPREPLY=($(compgen -W "CGROUP PATH NPROCS MEM MEMMAX MEMHIGH MEMEFF FULL CPU CPUMAX CPUEFF CPUTIME THROTTLED PIDS PIDSMAX PIDSEFF PSI FROZEN CONTAINER INODE DEPTH HIERARCHIES all" -- "${cur}"))
                    return 0
                    ;;
                -o)
                    COMPREPLY=($(compgen -W "CGROUP PATH NPROCS MEM MEMMAX MEMHIGH MEMEFF FULL CPU CPUMAX CPUEFF CPUTIME THROTTLED PIDS PIDSMAX PIDSEFF PSI FROZEN CONTAINER INODE DEPTH HIERARCHIES all" -- "${cur}"))
                    return 0
                    ;;
                --color)
                    COMPREPLY=($(compgen -W "auto always never" -- "${cur}"))
                    return 0
                    ;;
                --proc-root)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        nsx__subcmd__cg__subcmd__move)
            opts="-t -n -J -h -V --thread --dry-run --json --color --proc-root --help --version"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 3 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                --color)
                    COMPREPLY=($(compgen -W "auto always never" -- "${cur}"))
                    return 0
                    ;;
                --proc-root)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        nsx__subcmd__cg__subcmd__path)
            opts="-a -n -u -J -h -V --all --no-headings --no-truncate --json --color --proc-root --help --version"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 3 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                --color)
                    COMPREPLY=($(compgen -W "auto always never" -- "${cur}"))
                    return 0
                    ;;
                --proc-root)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        nsx__subcmd__cg__subcmd__procs)
            opts="-r -n -u -J -h -V --threads --recursive --no-headings --no-truncate --json --color --proc-root --help --version"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 3 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                --color)
                    COMPREPLY=($(compgen -W "auto always never" -- "${cur}"))
                    return 0
                    ;;
                --proc-root)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        nsx__subcmd__cg__subcmd__rm)
            opts="-r -n -J -h -V --recursive --dry-run --json --color --proc-root --help --version"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 3 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                --color)
                    COMPREPLY=($(compgen -W "auto always never" -- "${cur}"))
                    return 0
                    ;;
                --proc-root)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        nsx__subcmd__cg__subcmd__set)
            opts="-n -J -h -V --dry-run --json --color --proc-root --help --version"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 3 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                --color)
                    COMPREPLY=($(compgen -W "auto always never" -- "${cur}"))
                    return 0
                    ;;
                --proc-root)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        nsx__subcmd__cg__subcmd__show)
            opts="-a -J -h -V --all --shares --json --color --proc-root --help --version"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 3 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                --color)
                    COMPREPLY=($(compgen -W "auto always never" -- "${cur}"))
                    return 0
                    ;;
                --proc-root)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        nsx__subcmd__cg__subcmd__thaw)
            opts="-n -J -h -V --timeout --dry-run --json --color --proc-root --help --version"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 3 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                --timeout)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --color)
                    COMPREPLY=($(compgen -W "auto always never" -- "${cur}"))
                    return 0
                    ;;
                --proc-root)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        nsx__subcmd__cg__subcmd__top)
            opts="-i -s -d -f -n -J -h -V --interval --sort --depth --flat --once --count --json --color --proc-root --help --version"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 3 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                --interval)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                -i)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --sort)
                    COMPREPLY=($(compgen -W "cpu mem pids pressure name" -- "${cur}"))
                    return 0
                    ;;
                -s)
                    COMPREPLY=($(compgen -W "cpu mem pids pressure name" -- "${cur}"))
                    return 0
                    ;;
                --depth)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                -d)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --count)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                -n)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --color)
                    COMPREPLY=($(compgen -W "auto always never" -- "${cur}"))
                    return 0
                    ;;
                --proc-root)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        nsx__subcmd__cg__subcmd__why)
            opts="-w -J -h -V --watch --json --color --proc-root --help --version"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 3 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                --watch)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                -w)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --color)
                    COMPREPLY=($(compgen -W "auto always never" -- "${cur}"))
                    return 0
                    ;;
                --proc-root)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        nsx__subcmd__enter)
            opts="-t -a -m -u -i -n -N -p -C -U -T -S -G -r -w -W -e -c -Z -F -J -h -V --target --all --mount --uts --ipc --net --net-socket --pid --cgroup --user --user-parent --time --setuid --setgid --preserve-credentials --keep-caps --caps --root --wd --wdns --env --join-cgroup --no-cgroup --no-proc --follow-context --tools --no-fork --timeout --keep-fd --status-fd --explain --json --color --proc-root --help --version"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 2 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                --target)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                -t)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --mount)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                -m)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --uts)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                -u)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --ipc)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                -i)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --net)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                -n)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --net-socket)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                -N)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --pid)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                -p)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --cgroup)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                -C)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --user)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                -U)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --time)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                -T)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --setuid)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                -S)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --setgid)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                -G)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --caps)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --root)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                -r)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --wd)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                -w)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --wdns)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                -W)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --tools)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --timeout)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --keep-fd)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --status-fd)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --color)
                    COMPREPLY=($(compgen -W "auto always never" -- "${cur}"))
                    return 0
                    ;;
                --proc-root)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        nsx__subcmd__inspect)
            opts="-a -u -J -h -V --all --no-truncate --json --oci --color --proc-root --help --version"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 2 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                --color)
                    COMPREPLY=($(compgen -W "auto always never" -- "${cur}"))
                    return 0
                    ;;
                --proc-root)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        nsx__subcmd__kill)
            opts="-t -h -V --time --now --color --proc-root --help --version"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 2 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                --time)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                -t)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --color)
                    COMPREPLY=($(compgen -W "auto always never" -- "${cur}"))
                    return 0
                    ;;
                --proc-root)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        nsx__subcmd__ls)
            opts="-t -p -P -T -o -v -n -u -J -h -V --type --task --unoccupied --where --tree --output --columns --sort --threads --backend --verbose --no-headings --no-truncate --json --members --color --proc-root --help --version"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 2 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                --type)
                    COMPREPLY=($(compgen -W "cgroup ipc mnt net pid time user uts" -- "${cur}"))
                    return 0
                    ;;
                -t)
                    COMPREPLY=($(compgen -W "cgroup ipc mnt net pid time user uts" -- "${cur}"))
                    return 0
                    ;;
                --task)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                -p)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --where)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --tree)
                    COMPREPLY=($(compgen -W "owner parent process" -- "${cur}"))
                    return 0
                    ;;
                -T)
                    COMPREPLY=($(compgen -W "owner parent process" -- "${cur}"))
                    return 0
                    ;;
                --output)
                    COMPREPLY=($(compgen -W "NS TYPE NPROCS NTHREADS PID PPID USER UID PNS ONS OUID ID NETNSID STARTED HELD CONTAINER CGROUP NSFS PATH COMMAND all" -- "${cur}"))
                    return 0
                    ;;
                -o)
                    COMPREPLY=($(compgen -W "NS TYPE NPROCS NTHREADS PID PPID USER UID PNS ONS OUID ID NETNSID STARTED HELD CONTAINER CGROUP NSFS PATH COMMAND all" -- "${cur}"))
                    return 0
                    ;;
                --sort)
                    COMPREPLY=($(compgen -W "NS TYPE NPROCS NTHREADS PID PPID USER UID PNS ONS OUID ID NETNSID STARTED HELD CONTAINER CGROUP NSFS PATH COMMAND" -- "${cur}"))
                    return 0
                    ;;
                --backend)
                    COMPREPLY=($(compgen -W "auto proc bpf" -- "${cur}"))
                    return 0
                    ;;
                --color)
                    COMPREPLY=($(compgen -W "auto always never" -- "${cur}"))
                    return 0
                    ;;
                --proc-root)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        nsx__subcmd__net)
            opts="-l -T -o -n -u -J -h -V --routes --listen --tree --dot --where --output --columns --sort --no-headings --no-truncate --json --color --proc-root --help --version"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 2 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                --routes)
                    COMPREPLY=($(compgen -W "set all" -- "${cur}"))
                    return 0
                    ;;
                --where)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --output)
                    COMPREPLY=($(compgen -W "NS NAME LINK IFINDEX TYPE STATE ADDRESSES PEER MASTER PORTS INFO MAC MTU FLAGS ALIAS NETNSID DST VIA SRC SCOPE METRIC TABLE PROTO LOCAL PORT RQUEUE WQUEUE INODE HOLDERS PID USER CONTAINER NSFS COMMAND all" -- "${cur}"))
                    return 0
                    ;;
                -o)
                    COMPREPLY=($(compgen -W "NS NAME LINK IFINDEX TYPE STATE ADDRESSES PEER MASTER PORTS INFO MAC MTU FLAGS ALIAS NETNSID DST VIA SRC SCOPE METRIC TABLE PROTO LOCAL PORT RQUEUE WQUEUE INODE HOLDERS PID USER CONTAINER NSFS COMMAND all" -- "${cur}"))
                    return 0
                    ;;
                --sort)
                    COMPREPLY=($(compgen -W "NS NAME LINK IFINDEX TYPE STATE ADDRESSES PEER MASTER PORTS INFO MAC MTU FLAGS ALIAS NETNSID DST VIA SRC SCOPE METRIC TABLE PROTO LOCAL PORT RQUEUE WQUEUE INODE HOLDERS PID USER CONTAINER NSFS COMMAND" -- "${cur}"))
                    return 0
                    ;;
                --color)
                    COMPREPLY=($(compgen -W "auto always never" -- "${cur}"))
                    return 0
                    ;;
                --proc-root)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        nsx__subcmd__pid)
            opts="-t -q -o -n -u -J -h -V --target --in --quiet --output --columns --no-headings --no-truncate --json --color --proc-root --help --version"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 2 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                --target)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                -t)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --in)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --output)
                    COMPREPLY=($(compgen -W "PROCESS NAME PIDNS LEVEL PID TGID INIT CONTAINER CGROUP COMMAND all" -- "${cur}"))
                    return 0
                    ;;
                -o)
                    COMPREPLY=($(compgen -W "PROCESS NAME PIDNS LEVEL PID TGID INIT CONTAINER CGROUP COMMAND all" -- "${cur}"))
                    return 0
                    ;;
                --color)
                    COMPREPLY=($(compgen -W "auto always never" -- "${cur}"))
                    return 0
                    ;;
                --proc-root)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        nsx__subcmd__ps)
            opts="-T -o -q -v -n -u -J -h -V --tree --where --output --columns --sort --quiet --backend --verbose --no-headings --no-truncate --json --color --proc-root --help --version"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 2 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                --where)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --output)
                    COMPREPLY=($(compgen -W "NAME ENGINE ID PID STATE UPTIME STARTED NPROCS MEM LIMIT CPU CPUS IP IPS IMAGE POD LABELS USER UID INSIDE MNT NET PIDNS USERNS CGROUP COMMAND all" -- "${cur}"))
                    return 0
                    ;;
                -o)
                    COMPREPLY=($(compgen -W "NAME ENGINE ID PID STATE UPTIME STARTED NPROCS MEM LIMIT CPU CPUS IP IPS IMAGE POD LABELS USER UID INSIDE MNT NET PIDNS USERNS CGROUP COMMAND all" -- "${cur}"))
                    return 0
                    ;;
                --sort)
                    COMPREPLY=($(compgen -W "NAME ENGINE ID PID STATE UPTIME STARTED NPROCS MEM LIMIT CPU CPUS IP IPS IMAGE POD LABELS USER UID INSIDE MNT NET PIDNS USERNS CGROUP COMMAND" -- "${cur}"))
                    return 0
                    ;;
                --backend)
                    COMPREPLY=($(compgen -W "auto proc bpf" -- "${cur}"))
                    return 0
                    ;;
                --color)
                    COMPREPLY=($(compgen -W "auto always never" -- "${cur}"))
                    return 0
                    ;;
                --proc-root)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        nsx__subcmd__run)
            opts="-J -v -w -d -e -h -V --explain --json --mem --mem-high --swap --cpus --cpu-weight --cpuset --pids --io --hugetlb --cgroup-set --cgroup-parent --ulimit --oom-score-adj --share --userns --gid-map --user --time-offset --hostname --net --cap-add --cap-drop --allow-new-privs --seccomp --unmask --rootfs --read-only --home --volume --tmpfs --workdir --name --detach --timeout --stats --status-fd --no-init --env --env-file --clear-env --keep-fd --color --proc-root --help --version"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 2 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                --mem)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --mem-high)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --swap)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --cpus)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --cpu-weight)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --cpuset)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --pids)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --io)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --hugetlb)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --cgroup-set)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --cgroup-parent)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --ulimit)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --oom-score-adj)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --share)
                    COMPREPLY=($(compgen -W "cgroup ipc net pid time uts" -- "${cur}"))
                    return 0
                    ;;
                --userns)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --gid-map)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --user)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --time-offset)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --hostname)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --net)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --cap-add)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --cap-drop)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --seccomp)
                    COMPREPLY=($(compgen -W "default none" -- "${cur}"))
                    return 0
                    ;;
                --rootfs)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --volume)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                -v)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --tmpfs)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --workdir)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                -w)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --name)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --timeout)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --status-fd)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --env)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                -e)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --env-file)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --keep-fd)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --color)
                    COMPREPLY=($(compgen -W "auto always never" -- "${cur}"))
                    return 0
                    ;;
                --proc-root)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
    esac
}

if [[ "${BASH_VERSINFO[0]}" -eq 4 && "${BASH_VERSINFO[1]}" -ge 4 || "${BASH_VERSINFO[0]}" -gt 4 ]]; then
    complete -F _nsx -o nosort -o bashdefault -o default nsx
else
    complete -F _nsx -o bashdefault -o default nsx
fi

# Completes the word behind the last comma of a list.
_nsx_lists() {
    local cur prev words
    cur=${COMP_WORDS[COMP_CWORD]}
    prev=${COMP_WORDS[COMP_CWORD-1]}
    case $prev in
        -t|--type) words="cgroup ipc mnt net pid time user uts" ;;
        -o|--output) words="NS TYPE NPROCS NTHREADS PID PPID USER UID PNS ONS OUID ID NETNSID STARTED HELD CONTAINER CGROUP NSFS PATH COMMAND all" ;;
        *) words= ;;
    esac
    if [[ -n $words && ${COMP_WORDS[1]} == ls ]]; then
        local first=
        if [[ $cur == *,* ]]; then
            first=${cur%,*},
        elif [[ $cur == +* ]]; then
            first=+
        fi
        local rest=${cur#"$first"}
        compopt -o nospace 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -P "$first" -W "$words" -- "$rest")
        return
    fi
    _nsx_names "$@" || _nsx "$@"
}

# Offers the names of containers where the command takes one, and fails where it does not.
# Bash breaks words at : and =, too; here they are whole, but what is offered is only what stands behind the last break.
_nsx_names() {
    local command= place=0 option= word words=() i
    COMPREPLY=()
    for ((i = 1; i <= COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        if ((i > 1)) && [[ $word == [:=@]* || ${COMP_WORDS[i-1]} == [:=@]* ]]; then
            words[-1]+=$word
        else
            words+=("$word")
        fi
    done
    for word in "${words[@]:0:${#words[@]}-1}"; do
        if [[ -n $option ]]; then
            option=
        elif [[ $word == -?* ]]; then
            _nsx_has_value "$command,$word" && option=$word
        elif [[ $command == @(|cg) ]]; then
            command=${command:+$command }$word
        elif [[ $command == @(enter|run) ]]; then
            # What follows is another command's.
            return 1
        else
            ((place++))
        fi
    done
    word=${words[-1]}
    if [[ -n $option ]]; then
        place=$option
    elif [[ $word == --*=* ]]; then
        place=${word%%=*} word=${word#*=}
    elif [[ $word == -* ]]; then
        return 1
    fi
    local takes=()
    _nsx_takes "$command,$place" || return 1
    # What is no name can be a file, which bash completes by itself.
    [[ $word == [/~.]* ]] && return 0

    local only= engine= quote= name offered
    if [[ ${takes[0]} == sandboxes ]]; then
        only='engine == nsx and inside == ""'
    elif [[ $word =~ ^([a-z]+): ]]; then
        engine=${BASH_REMATCH[0]} only="engine == ${BASH_REMATCH[1]}" takes=()
    fi
    local start=${word%"$2"}
    if [[ ${word:${#engine}:1} == [\"\'] ]]; then
        quote=${word:${#engine}:1} start=$engine$quote word=$engine${word:${#engine}+1}
        [[ $2 == "$quote"* ]] && start=$engine
    else
        # What the backslashes hide is meant.
        IFS= read word <<< "$word"
    fi
    while IFS= read -r name; do
        [[ -n $name && $name != -* && $engine$name == "$word"* ]] || continue
        case $quote in
            \') [[ $name != *\'* ]] || continue ;;
            \") [[ $name != *[\"\$\`\\!]* ]] || continue ;;
            *)
                printf -v name %q "$name"
                name=${name//=/\\=} name=${name//:/\\:} name=${name//@/\\@}
                ;;
        esac
        offered=$engine$quote$name
        [[ $offered == "$start"* ]] && COMPREPLY+=("${offered#"$start"}")
    done < <(printf '%s\n' "${takes[@]:1}"; command nsx ps -q ${only:+--where "$only"} 2>/dev/null)
    # Where nothing is typed and there is no name there are still the options.
    [[ -n $word || $place == -* || ${#COMPREPLY[@]} -gt 0 ]]
}

# Says which names a place of a command takes: behind an option, or behind so many other words.
_nsx_takes() {
    case $1 in
        ls,[0-9]*) takes=(targets) ;;
        ls,-p|ls,--task) takes=(targets) ;;
        ps,[0-9]*) takes=(targets) ;;
        inspect,[0-9]*) takes=(targets) ;;
        enter,-t|enter,--target) takes=(targets) ;;
        net,[0-9]*) takes=(targets) ;;
        run,--net) takes=(targets none host) ;;
        kill,[0-9]*) takes=(sandboxes) ;;
        pid,-t|pid,--target) takes=(targets) ;;
        pid,--in) takes=(targets) ;;
        cg\ ls,0) takes=(targets) ;;
        cg\ show,0) takes=(targets) ;;
        cg\ path,0) takes=(targets) ;;
        cg\ why,0) takes=(targets) ;;
        cg\ top,0) takes=(targets) ;;
        cg\ procs,0) takes=(targets) ;;
        cg\ set,0) takes=(targets) ;;
        cg\ move,0) takes=(targets) ;;
        cg\ freeze,0) takes=(targets) ;;
        cg\ thaw,0) takes=(targets) ;;
        cg\ kill,0) takes=(targets) ;;
        cg\ rm,0) takes=(targets) ;;
        *) return 1 ;;
    esac
}

# Says whether the next word is the value of an option.
_nsx_has_value() {
    case $1 in
        ,--color|,--proc-root) ;;
        ls,-t|ls,--type|ls,-p|ls,--task|ls,--where|ls,-o|ls,--output|ls,--sort|ls,--backend|ls,--color|ls,--proc-root) ;;
        ps,--where|ps,-o|ps,--output|ps,--sort|ps,--backend|ps,--color|ps,--proc-root) ;;
        inspect,--color|inspect,--proc-root) ;;
        enter,-t|enter,--target|enter,-N|enter,--net-socket|enter,-S|enter,--setuid|enter,-G|enter,--setgid|enter,--caps|enter,-W|enter,--wdns|enter,--timeout|enter,--keep-fd|enter,--status-fd|enter,--color|enter,--proc-root) ;;
        net,--where|net,-o|net,--output|net,--sort|net,--color|net,--proc-root) ;;
        cg,--color|cg,--proc-root) ;;
        run,--mem|run,--mem-high|run,--swap|run,--cpus|run,--cpu-weight|run,--cpuset|run,--pids|run,--io|run,--hugetlb|run,--cgroup-set|run,--cgroup-parent|run,--ulimit|run,--oom-score-adj|run,--share|run,--userns|run,--gid-map|run,--user|run,--time-offset|run,--hostname|run,--net|run,--cap-add|run,--cap-drop|run,--seccomp|run,--rootfs|run,-v|run,--volume|run,--tmpfs|run,-w|run,--workdir|run,--name|run,--timeout|run,--status-fd|run,-e|run,--env|run,--env-file|run,--keep-fd|run,--color|run,--proc-root) ;;
        kill,-t|kill,--time|kill,--color|kill,--proc-root) ;;
        pid,-t|pid,--target|pid,--in|pid,-o|pid,--output|pid,--color|pid,--proc-root) ;;
        cg\ ls,-d|cg\ ls,--depth|cg\ ls,--over|cg\ ls,-i|cg\ ls,--interval|cg\ ls,--where|cg\ ls,--sort|cg\ ls,-o|cg\ ls,--output|cg\ ls,--color|cg\ ls,--proc-root) ;;
        cg\ show,--color|cg\ show,--proc-root) ;;
        cg\ path,--color|cg\ path,--proc-root) ;;
        cg\ why,-w|cg\ why,--watch|cg\ why,--color|cg\ why,--proc-root) ;;
        cg\ top,-i|cg\ top,--interval|cg\ top,-s|cg\ top,--sort|cg\ top,-d|cg\ top,--depth|cg\ top,-n|cg\ top,--count|cg\ top,--color|cg\ top,--proc-root) ;;
        cg\ procs,--color|cg\ procs,--proc-root) ;;
        cg\ set,--color|cg\ set,--proc-root) ;;
        cg\ move,--color|cg\ move,--proc-root) ;;
        cg\ freeze,--timeout|cg\ freeze,--color|cg\ freeze,--proc-root) ;;
        cg\ thaw,--timeout|cg\ thaw,--color|cg\ thaw,--proc-root) ;;
        cg\ kill,--timeout|cg\ kill,--color|cg\ kill,--proc-root) ;;
        cg\ create,-c|cg\ create,--controllers|cg\ create,--color|cg\ create,--proc-root) ;;
        cg\ rm,--color|cg\ rm,--proc-root) ;;
        *) return 1 ;;
    esac
}

complete -F _nsx_lists -o bashdefault -o default nsx
