# bash completion of imgfs: the program itself answers (tools/complete.h says how), so nothing is listed here.
_imgfs() {
	local answer kind before
	# The default breaks words at : and =, which references are full of: the program says only what is to be put in.
	mapfile -t answer < <("${COMP_WORDS[0]/#\~\//$HOME/}" __complete bash "${COMP_WORDBREAKS-}" \
		"${COMP_LINE:0:COMP_POINT}" 2>/dev/null)
	read -r kind before <<<"${answer[0]-}"
	COMPREPLY=("${answer[@]:1}")
	[[ ${#COMPREPLY[@]} -eq 0 ]] || return 0
	case $kind in
	files) compopt -o default +o nospace ;;
	directories) compopt -o dirnames +o nospace ;;
	esac
}
complete -o nospace -F _imgfs imgfs
