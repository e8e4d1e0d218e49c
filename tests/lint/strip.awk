# strip.awk - C without its comments, as file:line:code.  With -v strings=1 it prints the string
# literals instead, one a line; without, a literal's text is blanked.
function end_string() {
	if (strings) printf "%s:%d:%s\n", FILENAME, FNR, text
	text = ""
}
FNR == 1 { comment = 0 }
{
	out = text = ""; quote = ""
	n = length($0)
	for (i = 1; i <= n; i++) {
		c = substr($0, i, 1)
		two = substr($0, i, 2)
		if (comment) {
			if (two == "*/") { comment = 0; i++; out = out " " }
		} else if (quote != "") {
			if (c == "\\") { text = text substr($0, i, 2); i++ }
			else if (c == quote) { if (quote == "\"") end_string(); quote = ""; out = out c }
			else text = text c
		} else if (two == "/*") {
			comment = 1; i++
		} else if (two == "//") {
			break
		} else {
			if (c == "\"" || c == "'") { quote = c; text = "" }
			out = out c
		}
	}
	if (!strings && $0 ~ /^[ \t]*#[ \t]*include/) out = $0
	if (!strings && out ~ /[^ \t]/) printf "%s:%d:%s\n", FILENAME, FNR, out
}
