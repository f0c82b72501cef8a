# What a task is written with. Each call does its work and writes one line into $TALLY, so that nothing is done uncounted:
#   run WORD...           one command line, as an operator types it; what it prints goes to $OUTPUT too
#   edit FILE s/a/b/      one edit of a file that is there (by sed), or
#   edit FILE <<END       what is read is added to the file; a new file is made
# until_version is no act of the operator's: it holds the task until all bots of the kind news say this version, or fails it.
# A line of the tally: command or edit, lines changed, what it was (tab separated; the words of a command quoted).
set -eu

run() {
    printf 'command\t0\t%s\n' "${*@Q}" >> "$TALLY"
    "$@" >> "$OUTPUT" 2>&1
}

edit() {
    cp "$1" "$OUTPUT.before" 2>/dev/null || : > "$OUTPUT.before"
    if [ $# -gt 1 ]; then sed -i "$2" "$1"; else cat >> "$1"; fi
    lines=$(diff "$OUTPUT.before" "$1" | grep -c '^>' || :)
    [ "$lines" -gt 0 ] || { echo "edit of $1 changed nothing" >&2; exit 1; }
    printf 'edit\t%s\t%s\n' "$lines" "$1" >> "$TALLY"
}

until_version() {
    for _ in $(seq 600); do
        [ "$(grep -l "\"version\": \"$1\"" seen/news-*.json | wc -l)" -eq "$NEWS" ] && return
        sleep 0.1
    done
    echo "not all of news run version $1" >&2
    exit 1
}
