# migrations.awk - sql/migrations/NNNN_name.sql become build/gen/migration.c.
#
# They come in order, count from 1 and leave none out.  The text is taken as it stands: what is
# compared with an applied one is all of it.
function die(why) {
	if (bad) exit 1
	printf "%s: %s\n", FILENAME, why > "/dev/stderr"
	exit bad = 1
}
BEGIN {
	print "/* made by sql/migrations.awk */\n#include \"actors/core/migration.h\"\n"
	print "const struct migration migration[] = {"
}
FNR == 1 {
	file = FILENAME
	sub(/^.*\//, "", file)
	if (file !~ /^[0-9][0-9][0-9][0-9]_[a-z][a-z0-9_]*\.sql$/)
		die("a migration is named NNNN_name.sql")
	if (substr(file, 1, 4) + 0 != ++count)
		die(sprintf("this should be number %04d", count))
	if (count > 1) print "\t},"
	name = substr(file, 6, length(file) - 9)
	printf "\t{ %d, \"%s\",", count, name
}
{
	gsub(/\\/, "\\\\&"); gsub(/"/, "\\\"")
	gsub(/\?/, "\\?")			# no trigraphs
	printf "\n\t\t\"%s\\n\"", $0
}
END {
	if (bad) exit 1
	if (count == 0) { print "there is no migration" > "/dev/stderr"; exit 1 }
	print "\t},\n};\nconst size_t migration_count = sizeof migration / sizeof migration[0];"
}
