//! Where the completions offer the names of containers: wherever clap's definition has a TARGET, or a NAME that is no option's.
//!
//! The names come from `nsx ps -q` while the user waits. Whoever may start a container chooses them, so each goes to the line as one word,
//! quoted, and what begins with a dash is left out. Where no name fits, files do: a target may be one.

use std::fmt::Write;

use clap::{Arg, Command};
use nsx::cmd::definition;

/// A command, by its words, as in `cg show`; what has no words is nsx itself.
struct Place {
    words: Vec<String>,
    command: Command,
}

impl Place {
    fn all() -> Vec<Place> {
        let mut nsx = definition();
        nsx.build();
        let mut all = vec![Place { words: Vec::new(), command: nsx }];
        let mut next = 0;
        while next < all.len() {
            let below = all[next].command.get_subcommands().filter(|below| !below.is_hide_set());
            let below = below.filter(|below| below.get_name() != "help").map(|below| Place {
                words: all[next].words.iter().cloned().chain([below.get_name().to_owned()]).collect(),
                command: below.clone(),
            });
            let below: Vec<Place> = below.collect();
            all.extend(below);
            next += 1;
        }
        all
    }

    fn name(&self) -> String {
        self.words.join(" ")
    }

    /// Returns the arguments that names are offered for, with what the shells' functions are told of each.
    fn named(&self) -> impl Iterator<Item = (&Arg, String)> {
        self.command.get_arguments().filter_map(|arg| Some((arg, names_of(arg)?)))
    }

    /// Returns the options whose value is the next word.
    fn with_value(&self) -> Vec<String> {
        let has_value =
            |arg: &&Arg| !arg.is_positional() && arg.get_action().takes_values() && !arg.is_require_equals_set();
        self.command.get_arguments().filter(has_value).flat_map(spellings).collect()
    }
}

/// Returns which names an argument takes: `targets`, with the words that it takes beside them, or `sandboxes`, those of nsx itself
/// that are in no other.
fn names_of(arg: &Arg) -> Option<String> {
    let value = arg.get_value_names()?.first()?;
    let words: Vec<&str> = value.split('|').collect();
    if value.contains("TARGET") {
        let fixed = words.into_iter().filter(|word| word.bytes().all(|byte| byte.is_ascii_lowercase()));
        return Some(["targets"].into_iter().chain(fixed).collect::<Vec<_>>().join(" "));
    }
    (arg.is_positional() && words.contains(&"NAME")).then(|| "sandboxes".to_owned())
}

fn spellings(arg: &Arg) -> Vec<String> {
    let short = arg.get_short().map(|short| format!("-{short}"));
    short.into_iter().chain(arg.get_long().map(|long| format!("--{long}"))).collect()
}

/// Returns how many words stand before a positional argument, and whether it goes on to the end.
fn position(arg: &Arg) -> (usize, bool) {
    (arg.get_index().expect("an index") - 1, arg.get_num_args().is_some_and(|count| count.max_values() > 1))
}

const BASH: &str = r#"
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
        elif [[ $command == @(|GROUPS) ]]; then
            command=${command:+$command }$word
        elif [[ $command == @(LAUNCHERS) ]]; then
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
"#;

/// Returns what the script for bash ends with, before its own `complete`.
pub fn bash() -> String {
    let mut takes = String::new();
    let mut with_value = String::new();
    for place in Place::all() {
        let name = place.name();
        let quoted = |rest: &str| format!("{},{rest}", name.replace(' ', "\\ "));
        for (arg, names) in place.named() {
            let patterns: Vec<String> = match arg.is_positional() {
                false => spellings(arg).iter().map(|option| quoted(option)).collect(),
                true => match position(arg) {
                    (first, false) => vec![quoted(&first.to_string())],
                    (0, true) => vec![quoted("") + "[0-9]*"],
                    (first, true) => panic!("{name}: nothing is made for names from word {first} on"),
                },
            };
            let _ = writeln!(takes, "        {}) takes=({names}) ;;", patterns.join("|"));
        }
        let options: Vec<String> = place.with_value().iter().map(|option| quoted(option)).collect();
        let _ = writeln!(with_value, "        {}) ;;", options.join("|"));
    }
    let named = |is_it: &dyn Fn(&Command) -> bool| {
        let all = Place::all().into_iter().filter(|place| !place.words.is_empty() && is_it(&place.command));
        all.map(|place| place.name()).collect::<Vec<_>>().join("|")
    };
    let has_commands = |command: &Command| command.get_subcommands().any(|below| below.get_name() != "help");
    let launches = |command: &Command| command.get_positionals().any(Arg::is_trailing_var_arg_set);
    let script = BASH.replace("GROUPS", &named(&has_commands)).replace("LAUNCHERS", &named(&launches));
    format!(
        "{script}
# Says which names a place of a command takes: behind an option, or behind so many other words.
_nsx_takes() {{
    case $1 in
{takes}        *) return 1 ;;
    esac
}}

# Says whether the next word is the value of an option.
_nsx_has_value() {{
    case $1 in
{with_value}        *) return 1 ;;
    esac
}}
"
    )
}

const ZSH: &str = r#"
# Offers the names of containers, and files where no name fits: which ones, and the words beside them.
(( $+functions[_nsx_names] )) ||
_nsx_names() {
    local which=$1 expl
    local -a names only
    shift
    if [[ $which == sandboxes ]]; then
        only=(--where 'engine == nsx and inside == ""')
    elif [[ $PREFIX == [a-z]##:* ]]; then
        only=(--where "engine == ${PREFIX%%:*}")
        compset -P 1 '*:'
        set --
    fi
    names=("$@" ${(f)"$(command nsx ps -q $only 2>/dev/null)"})
    names=(${names:#-*})
    _wanted containers expl container compadd -a names && return
    [[ $which == targets ]] && _files
}
"#;

/// Writes into what clap_complete has made for zsh where names are offered.
pub fn zsh(script: &str) -> String {
    let all: Vec<Place> = Place::all();
    let line = |line: &str| {
        let plain = line.replace(r"'\''", "'").replace(r"\:", ":");
        for (arg, names) in all.iter().flat_map(Place::named) {
            let end = match arg.is_positional() {
                false => format!(":{}:_default' \\", arg.get_value_names().expect("a value")[0]),
                true => format!(":{} -- {}:_default' \\", arg.get_id(), arg.get_help().expect("help")),
            };
            if plain.ends_with(&end) {
                // Behind a blank an action gets its own arguments alone.
                return line.replace(":_default' \\", &format!(": _nsx_names {names}' \\"));
            }
        }
        line.to_owned()
    };
    let lines: Vec<String> = script.lines().map(line).collect();
    let script = lines.join("\n") + "\n";
    let at = script.find("\nif [ \"$funcstack[1]\"").expect("the end");
    format!("{}{ZSH}{}", &script[..at], &script[at..])
}

const FISH: &str = r#"
# Prints the names of containers, and files where no name fits: which ones, and the words beside them.
function __fish_nsx_names
    set -l which $argv[1]
    set -e argv[1]
    set -l typed (string replace -r -- '^-[^=]*=' '' (commandline -ct))
    # What has an open quote cannot be unescaped.
    set -l word (string unescape -- "$typed"; or string trim -l -c '\'"' -- "$typed")
    set -l engine (string match -r -- '^[a-z]+:' "$word")
    set -l only
    if test $which = sandboxes
        set only --where 'engine == nsx and inside == ""'
    else if test -n "$engine"
        set only --where "engine == "(string trim -r -c : -- $engine)
        set argv
    end
    set -l names $argv "$engine"(command nsx ps -q $only 2>/dev/null)
    set names (string match -v -- '-*' $names)
    printf '%s\n' $names
    if test $which = targets; and not string match -q -r -- '^'(string escape --style=regex -- "$word") $names
        __fish_complete_path "$word"
    end
end

# Says how many words stand before the one at the cursor, as in -eq 2; the other arguments are the options that have a value.
function __fish_nsx_behind
    set -l count 0
    set -l is_value no
    for word in (commandline -opc)
        if test $is_value = yes
            set is_value no
        else if contains -- $word $argv[3..-1]
            set is_value yes
        else if not string match -q -r -- '^-.' $word
            set count (math $count + 1)
        end
    end
    test $count $argv[1] $argv[2]
end

"#;

/// Writes into what clap_complete has made for fish where names are offered.
pub fn fish(script: &str) -> String {
    let mut lines: Vec<String> = script.lines().map(str::to_owned).collect();
    let mut positional = String::new();
    for place in Place::all() {
        let condition = match &place.words[..] {
            [] => continue,
            [command] => format!("__fish_nsx_using_subcommand {command}"),
            [command, rest @ ..] => {
                format!("__fish_nsx_using_subcommand {command}; and __fish_seen_subcommand_from {}", rest.join(" "))
            }
        };
        for (arg, names) in place.named() {
            let offer = format!("-x -a \"(__fish_nsx_names {names})\"");
            if arg.is_positional() {
                let (first, is_last) = position(arg);
                let before = 1 + place.words.len() + first;
                let compare = if is_last { "-ge" } else { "-eq" };
                let behind = format!("__fish_nsx_behind {compare} {before} {}", place.with_value().join(" "));
                let _ = writeln!(positional, "complete -c nsx -n \"{condition}; and {behind}\" {offer}");
                continue;
            }
            let long = format!(" -l {} ", arg.get_long().expect("a long option"));
            let start = format!("complete -c nsx -n \"{condition}\" ");
            let is_it = |line: &&mut String| line.starts_with(&start) && line.contains(&long);
            let line = lines.iter_mut().find(is_it).unwrap_or_else(|| panic!("no{long}in {condition}"));
            *line = format!("{} {offer}", line.strip_suffix(" -r").unwrap_or_else(|| panic!("{line}")));
        }
    }
    format!("{}\n{FISH}{positional}", lines.join("\n"))
}
