package mapfile

import "strings"

// maxNearest is how long a word may be that is worth comparing.
const maxNearest = 64

// Nearest returns the candidate that was probably meant by word, or "": one that
// differs in case only, else the one with the fewest letters changed, if those
// are few, else the only one that continues the word.
func Nearest(word string, candidates []string) string {
	if len(word) > maxNearest {
		return ""
	}
	for _, c := range candidates {
		if strings.EqualFold(c, word) {
			return c
		}
	}
	best, least := "", 1+(len(word)+1)/3
	for _, c := range candidates {
		if d := distance(strings.ToLower(word), strings.ToLower(c)); d < least {
			best, least = c, d
		}
	}
	if best != "" {
		return best
	}
	return continued(word, candidates)
}

// continued returns the only candidate that begins with word, or with which word
// begins.
func continued(word string, candidates []string) string {
	const enough = 3
	found := ""
	for _, c := range candidates {
		short, long := strings.ToLower(word), strings.ToLower(c)
		if len(short) > len(long) {
			short, long = long, short
		}
		if len(short) < enough || !strings.HasPrefix(long, short) {
			continue
		}
		if found != "" {
			return ""
		}
		found = c
	}
	return found
}

// distance counts the letters to insert, delete, replace or swap with their
// neighbour to turn a into b.
func distance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range len(a) {
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(last[j]+cost, last[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
