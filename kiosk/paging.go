package kiosk

import (
	"strings"
	"unicode/utf8"

	"mohr.internal/kiosk/check"
)

// lettersPerPage is how much of the terms every panel can show. A paragraph that
// is longer by itself is cut between two words.
const lettersPerPage = 300

// A page that every panel can show has so many rows of a subject, and so many
// letters to a row; a value that is longer counts as several rows.
const (
	rowsPerPage   = 6
	lettersPerRow = 44
)

// termsParts cuts the terms into pages, as even as their paragraphs allow.
func termsParts(text string) (parts [][]string) {
	var lines []string
	total := 0
	for _, line := range strings.Split(text, "\n") {
		for _, l := range cut(line, lettersPerPage) {
			lines = append(lines, l)
			total += utf8.RuneCountInString(l)
		}
	}
	even := total / (total/lettersPerPage + 1)
	size := 0
	for _, l := range lines {
		n := utf8.RuneCountInString(l)
		if len(parts) == 0 || size+n > lettersPerPage || size >= even {
			parts, size = append(parts, nil), 0
		}
		parts[len(parts)-1] = append(parts[len(parts)-1], l)
		size += n
	}
	return parts
}

// cut breaks a paragraph between words so that no piece is longer than limit,
// where the words allow that.
func cut(line string, limit int) (out []string) {
	for utf8.RuneCountInString(line) > limit {
		at, n := 0, 0
		for i, r := range line {
			if n++; r == ' ' && (n <= limit || at == 0) {
				at = i
			}
		}
		if at == 0 {
			break
		}
		out, line = append(out, line[:at]), line[at+1:]
	}
	return append(out, line)
}

// subjectParts cuts a subject into pages, in its order and with nothing left out.
func subjectParts(rows []check.SubjectField) (parts [][]check.SubjectField) {
	free := 0
	for _, r := range rows {
		need := min(rowsPerPage, 1+utf8.RuneCountInString(r.Shown)/lettersPerRow)
		if need > free {
			parts, free = append(parts, nil), rowsPerPage
		}
		parts[len(parts)-1] = append(parts[len(parts)-1], r)
		free -= need
	}
	return parts
}
