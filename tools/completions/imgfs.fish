# fish completion of imgfs: the program itself answers (tools/complete.h says how), so nothing is listed here.
function __imgfs_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct | string unescape --)
    set -l answer (command $words[1] __complete fish $words[2..-1] "$current" 2>/dev/null)
    test (count $answer) -gt 0; or return
    set -l head (string split -m 1 ' ' -- $answer[1])
    for line in $answer[2..-1]
        echo $line
    end
    set -l rest (string sub -s (math 1 + (string length -- "$head[2]")) -- "$current")
    switch $head[1]
        case files
            __fish_complete_path "$rest" | string replace -r '^' -- "$head[2]"
        case directories
            __fish_complete_directories "$rest" | string replace -r '^' -- "$head[2]"
    end
end
complete -c imgfs -f -a '(__imgfs_complete)'
